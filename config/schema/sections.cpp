#include "config/schema/sections.hpp"

#include <algorithm>

#include "config/schema/address.hpp"
#include "config/schema/diagnostic.hpp"
#include "config/schema/quantity.hpp"

namespace sluice::config {

namespace {

key flag_key(const char* name, const char* otherwise, const char* help) {
  return {.name = name, .type = kind::flag, .help = help, .otherwise = otherwise};
}
key path_key(const char* name, const char* otherwise, const char* help) {
  return {.name = name, .type = kind::path, .help = help, .otherwise = otherwise};
}
key choice_key(const char* name, const char* choices, const char* otherwise, const char* help) {
  return {.name = name, .type = kind::choice, .help = help, .choices = choices, .otherwise = otherwise};
}
key number_key(const char* name, std::uint64_t least, std::uint64_t most, const char* otherwise, const char* help) {
  return {.name = name, .type = kind::number, .help = help, .minimum = least, .maximum = most, .otherwise = otherwise};
}
key required(key k) {
  k.required = true;
  return k;
}

}  // namespace

const std::vector<key>& root_keys() {
  static const std::vector<key> keys{
      {.name = "gateway", .type = kind::tables, .help = "the gateway itself"},
      {.name = "cluster", .type = kind::tables, .help = "gateways that serve the same units"},
      {.name = "store", .type = kind::tables, .help = "[store.NAME]: where bytes live"},
      {.name = "unit", .type = kind::tables, .help = "[unit.NAME]: a logical unit over a store"},
      {.name = "target", .type = kind::tables, .help = "[target.NAME]: a SCSI target device"},
  };
  return keys;
}

const std::vector<key>& gateway_keys() {
  static const std::vector<key> keys{
      {.name = "name", .help = "how this gateway calls itself", .otherwise = "the host's name"},
      path_key("state_dir", "/var/lib/sluice",
               "embedded state: reservations (APTPL), unit identities, which flash is "
               "believed over devices that cannot say so"),
      {.name = "reactors",
       .type = kind::numbers,
       .help = "how many event loops, or the list of the cores that each gets one",
       .maximum = 1023,
       .otherwise = "one per core"},
      path_key("control", "/run/sluice/control.sock", "the command line and the API speak here"),
      {.name = "http",
       .type = kind::endpoint,
       .help = "metrics and status for programs, on loopback: /metrics, /status, /health",
       .otherwise = "off"},
      choice_key("log", "text|json", "text", "the form of the log's lines on standard error"),
      choice_key("log_level", "debug|info|warning|error", "info", "the least severe lines that are logged"),
      {.name = "buffers",
       .type = kind::size,
       .help = "the most memory for data in flight, of each reactor",
       .minimum = 16ull << 20,
       .maximum = 1ull << 40,
       .otherwise = "256MiB"},
      number_key("max_connections", 1, 65536, "4096", "sessions in all"),
      number_key("max_connections_per_address", 1, 65536, "a quarter of them, at least 64",
                 "sessions from one address, loopback's too"),
      {.name = "login_timeout",
       .type = kind::duration,
       .help = "after which a connection that has not logged in is dropped",
       .minimum = 1'000'000'000,
       .maximum = 600'000'000'000,
       .otherwise = "15s"},
      number_key("max_tasks", 1, 4096, "128", "commands that one session may have in flight"),
  };
  return keys;
}

const std::vector<key>& cluster_keys() {
  static const std::vector<key> keys{
      {.name = "name", .help = "the prefix of the cluster's objects", .otherwise = "sluice"},
      required({.name = "pool", .help = "the RADOS pool in which those objects lie"}),
      {.name = "user", .help = "the cephx user, without \"client.\"", .otherwise = "admin"},
      {.name = "conf", .type = kind::path, .help = "the Ceph cluster's ceph.conf", .otherwise = "where librados looks"},
      {.name = "listen",
       .type = kind::endpoint,
       .help = "address and port at which the other gateways reach this one, to relay commands to the owner of a unit",
       .otherwise = "commands are not relayed"},
      {.name = "balance",
       .type = kind::flag,
       .help = "a unit that this gateway owns moves to the gateway by which most of its commands come",
       .otherwise = "true"},
      {.name = "hosts_move",
       .type = kind::flag,
       .help =
           "hosts are told that they choose which gateway owns a unit, by SET TARGET PORT GROUPS; the same everywhere",
       .otherwise = "false"},
  };
  return keys;
}

const std::vector<key>& store_keys() {
  static const std::vector<key> keys{
      required({.name = "type", .help = "what kind of store: its own keys are below"}),
  };
  return keys;
}

const std::vector<key>& unit_keys() {
  static const std::vector<key> keys{
      required({.name = "store", .type = kind::store_name, .help = "the store that holds the unit's blocks"}),
      choice_key("block_size", "512|4096", "512, or as the medium's blocks are", "octets of a logical block"),
      flag_key("thin", "true", "report thin provisioning where the store can free space"),
      flag_key("read_only", "false", "refuse writes"),
      {.name = "naa",
       .help = "the unit's name for initiators, as it had it elsewhere: naa. and 16 or 32 hexadecimal digits",
       .otherwise = "made once"},
      {.name = "serial", .help = "its serial number: up to 64 letters of ASCII", .otherwise = "made once"},
      {.name = "vendor", .help = "who made it, in INQUIRY: up to 8 letters of ASCII", .otherwise = "SLUICE"},
      {.name = "product", .help = "what it is, in INQUIRY: up to 16 letters of ASCII", .otherwise = "VIRTUAL DISK"},
      flag_key("rotational", "as the medium is", "say that it is a disk that turns"),
  };
  return keys;
}

const std::vector<key>& target_keys() {
  static const std::vector<key> keys{
      {.name = "luns", .type = kind::luns, .help = "LUN -> unit; a store's name makes a unit with defaults"},
      flag_key("open", "false", "let every initiator in, also beyond loopback"),
      {.name = "port", .type = kind::tables, .help = "[[target.NAME.port]]: any number of ports of any fabric"},
      {.name = "access",
       .type = kind::tables,
       .help = "[target.NAME.access.\"INITIATOR\"]: with any of these, only those initiators may log in"},
  };
  return keys;
}

const std::vector<key>& port_keys() {
  static const std::vector<key> keys{
      required({.name = "fabric", .help = "the transport: its own keys are below"}),
      number_key("group", 1, 65535, "1", "target port group"),
  };
  return keys;
}

const std::vector<key>& access_keys() {
  static const std::vector<key> keys{
      {.name = "luns", .type = kind::luns, .help = "what this initiator sees", .otherwise = "the target's"},
  };
  return keys;
}

const std::vector<key>* find_keys(const std::vector<std::pair<std::string, std::vector<key>>>& types,
                                  const std::string& name) {
  for (const auto& [type, keys] : types)
    if (type == name) return &keys;
  return nullptr;
}

const fabric_rules* find_fabric(const known_types& known, const std::string& name) {
  for (const fabric_rules& each : known.fabrics)
    if (each.name == name) return &each;
  return nullptr;
}

std::vector<std::string> choices_of(const key& k) {
  std::vector<std::string> out;
  for (std::size_t from = 0; !k.choices.empty() && from <= k.choices.size();) {
    const std::size_t bar = std::min(k.choices.find('|', from), k.choices.size());
    out.push_back(k.choices.substr(from, bar - from));
    from = bar + 1;
  }
  return out;
}

std::string allowed_by(const key& k) {
  // "a size", "a size of at least 1MiB", "a size from 1MiB to 1TiB".
  const auto bounded = [&k](const char* what, const std::string& least, const std::string& most) {
    if (k.maximum != UINT64_MAX) return std::string(what) + " from " + least + " to " + most;
    return std::string(what) + " of at least " + least;
  };
  const bool free = k.minimum == 0 && k.maximum == UINT64_MAX;
  switch (k.type) {
    case kind::text:
      return "text";
    case kind::path:
      return "a path";
    case kind::size:
      return free ? size_spelling : bounded("a size", format_size(k.minimum), format_size(k.maximum));
    case kind::duration:
      return free ? duration_spelling : bounded("a duration", format_duration(k.minimum), format_duration(k.maximum));
    case kind::number:
      return free ? "a whole number" : bounded("a whole number", std::to_string(k.minimum), std::to_string(k.maximum));
    case kind::flag:
      return "true or false";
    case kind::store_name:
      return "the name of a store";
    case kind::choice:
      return one_of(choices_of(k));
    case kind::endpoints:
      return "a list of IP addresses with ports, as in [\"127.0.0.1:3260\", \"[::1]:3260\"]";
    case kind::endpoint:
      return listen_spelling;
    case kind::hosts:
      return "a list of hosts with ports, as in [\"gw.example.com:3260\"]";
    case kind::numbers:
      return "a whole number or a list of distinct ones, up to " + std::to_string(k.maximum);
    case kind::ranges:
      return "a list of at most " + std::to_string(k.maximum) +
             " texts with an offset and a length, as in [\"0B+1GiB\"]";
    case kind::luns:
      return "a table of LUN = \"UNIT\", LUNs from 0 to " + std::to_string(max_lun);
    case kind::tables:
      return "tables";
  }
  return {};
}

}  // namespace sluice::config
