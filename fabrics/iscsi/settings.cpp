#include <algorithm>

#include "fabrics/iscsi/config_check.hpp"
#include "fabrics/iscsi/iscsi_fabric.hpp"
#include "fabrics/iscsi/name.hpp"

namespace sluice::iscsi {

namespace {

std::vector<config::key> port_keys() {
  using config::kind;
  return {
      {.name = "name",
       .required = true,
       .help = "the target's iSCSI name; ports of one name are portal groups of one target"},
      {.name = "listen",
       .type = kind::endpoints,
       .required = true,
       .help = "where it listens, alone or with other ports; port 0 lets the system choose"},
      {.name = "advertise",
       .type = kind::hosts,
       .help = "what discovery tells initiators in place of the addresses in listen"},
      {.name = "header_digest", .type = kind::flag, .help = "accept CRC32C header digests", .otherwise = "true"},
      {.name = "data_digest", .type = kind::flag, .help = "accept CRC32C data digests", .otherwise = "true"},
      {.name = "header_digest_required", .type = kind::flag, .help = "refuse sessions without", .otherwise = "false"},
      {.name = "data_digest_required", .type = kind::flag, .help = "refuse sessions without", .otherwise = "false"},
      {.name = "chap_algorithms",
       .type = kind::choice,
       .help = "of CHAP: all, without MD5 (sha), or SHA-256 and SHA3-256 alone",
       .choices = "all|sha|sha256",
       .otherwise = "all"},
      {.name = "discovery_chap",
       .type = kind::flag,
       .help = "discovery at its addresses needs a secret, too",
       .otherwise = "false"},
      {.name = "immediate_data", .type = kind::flag, .help = "take data with the command", .otherwise = "true"},
      {.name = "initial_r2t", .type = kind::flag, .help = "refuse unsolicited Data-Out PDUs", .otherwise = "false"},
      {.name = "max_recv_data_segment_length",
       .type = kind::size,
       .help = "MaxRecvDataSegmentLength",
       .minimum = 512,
       .maximum = 512 * kib,
       .otherwise = "256KiB"},
      {.name = "max_burst_length",
       .type = kind::size,
       .help = "MaxBurstLength",
       .minimum = 512,
       .maximum = 16 * mib - 512,
       .otherwise = "1MiB"},
      {.name = "first_burst_length",
       .type = kind::size,
       .help = "FirstBurstLength",
       .minimum = 512,
       .maximum = 1 * mib,
       .otherwise = "256KiB"},
      {.name = "max_outstanding_r2t",
       .type = kind::number,
       .help = "MaxOutstandingR2T",
       .minimum = 1,
       .maximum = 64,
       .otherwise = "8"},
      {.name = "data_out_timeout",
       .type = kind::duration,
       .help = "how long an initiator may send none of the data that it owes",
       .minimum = ns_per_s,
       .maximum = 3600 * ns_per_s,
       .otherwise = "30s"},
      {.name = "cold_reset",
       .type = kind::flag,
       .help = "let initiators end all sessions of the port by TARGET COLD RESET",
       .otherwise = "false"},
      {.name = "nop_interval",
       .type = kind::duration,
       .help = "silence before the initiator is asked; 0s: never",
       .maximum = 3600 * ns_per_s,
       .otherwise = "30s"},
      {.name = "nop_timeout",
       .type = kind::duration,
       .help = "silence after that ends the connection",
       .minimum = ns_per_s,
       .maximum = 3600 * ns_per_s,
       .otherwise = "30s"},
  };
}

/// TCP's own: no digest is needed where adapters have theirs, and data move without PDUs.
bool is_of_tcp(const config::key& k) {
  return k.name.find("digest") != std::string::npos || k.name == "max_recv_data_segment_length" ||
         k.name == "max_outstanding_r2t";
}

std::vector<config::key> access_keys() {
  using config::kind;
  return {
      {.name = "chap.user", .help = "the name that the initiator proves by CHAP"},
      {.name = "chap.secret_file",
       .type = kind::path,
       .help = "a file with the initiator's secret: 12 to 255 octets, readable by its owner only"},
      {.name = "chap.mutual_user", .help = "the name that the gateway proves to the initiator"},
      {.name = "chap.mutual_secret_file", .type = kind::path, .help = "a file with the gateway's secret, another one"},
  };
}

}  // namespace

served_port read_port(const config::port_config& wanted, const offer& otherwise) {
  const config::settings& from = wanted.settings;
  served_port made;
  made.id = {wanted.fabric, wanted.name, wanted.group};
  made.advertise = from.list("advertise");
  offer& o = made.ours = otherwise;
  o.header_digest = from.flag("header_digest", o.header_digest);
  o.data_digest = from.flag("data_digest", o.data_digest);
  o.header_digest_required = from.flag("header_digest_required", false);
  o.data_digest_required = from.flag("data_digest_required", false);
  o.header_digest |= o.header_digest_required;
  o.data_digest |= o.data_digest_required;
  if (const std::string* taken = from.text("chap_algorithms"))
    o.weakest_chap = *taken == "sha256" ? chap_algorithm::sha256
                     : *taken == "sha"  ? chap_algorithm::sha1
                                        : chap_algorithm::md5;
  o.immediate_data = from.flag("immediate_data", o.immediate_data);
  o.initial_r2t = from.flag("initial_r2t", o.initial_r2t);
  const auto number = [&](const char* name, std::uint32_t& value) {
    value = static_cast<std::uint32_t>(from.number(name, value));
  };
  number("max_recv_data_segment_length", o.max_recv_data_segment_length);
  number("max_burst_length", o.max_burst_length);
  number("first_burst_length", o.first_burst_length);
  number("max_outstanding_r2t", o.max_outstanding_r2t);
  o.first_burst_length = std::min(o.first_burst_length, o.max_burst_length);  // [RFC7143 13.14]
  made.allow_cold_reset = from.flag("cold_reset", made.allow_cold_reset);
  made.data_out_timeout_ns = from.number("data_out_timeout", made.data_out_timeout_ns);
  made.discovery_chap = from.flag("discovery_chap", false);
  made.nop_interval_ns = from.number("nop_interval", made.nop_interval_ns);
  made.nop_timeout_ns = from.number("nop_timeout", made.nop_timeout_ns);
  return made;
}

namespace {

/// What ports of any transport have in common.
config::fabric_rules rules_of(const std::string& name) {
  config::fabric_rules made;
  made.name = name;
  made.port_keys = port_keys();
  made.access_keys = access_keys();
  made.canonical_name = [](const std::string& given) { return canonical_name(given); };
  made.initiator_problem = [](const std::string& given) { return name_problem(given); };
  made.warn = [name](const config::model& m, config::diagnostics& warnings) { warn_of_names(m, name, warnings); };
  return made;
}

}  // namespace

config::fabric_rules rules() {
  config::fabric_rules made = rules_of("iscsi");
  made.check = [](const config::model& m, config::diagnostics& wrong) {
    check_ports(m, "iscsi", wrong);
    check_access(m, wrong);
  };
  made.check_files = check_secrets;
  return made;
}

config::fabric_rules rdma_rules(const std::string& name) {
  config::fabric_rules made = rules_of(name);
  std::erase_if(made.port_keys, is_of_tcp);
  for (config::key& k : made.port_keys) {
    if (k.name == "listen") k.help = "addresses of RDMA devices where it takes connections, alone or with other ports";
    if (k.name == "first_burst_length") k.otherwise = "64KiB";
  }
  made.check = [name](const config::model& m, config::diagnostics& wrong) { check_ports(m, name, wrong); };
  made.warn = [name](const config::model& m, config::diagnostics& warnings) {
    warn_of_names(m, name, warnings);
    warn_of_groups(m, name, warnings);
  };
  return made;
}

}  // namespace sluice::iscsi
