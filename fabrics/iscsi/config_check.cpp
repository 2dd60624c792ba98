#include "fabrics/iscsi/config_check.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "config/schema/address.hpp"
#include "config/schema/key_reader.hpp"
#include "config/toml/load.hpp"
#include "fabrics/iscsi/name.hpp"

namespace sluice::iscsi {

namespace {

using config::listen_address;

class port_checker {
 public:
  port_checker(const config::model& m, const std::string& fabric, config::diagnostics& wrong) : wrong_(wrong) {
    if (m.gateway.http && fabric == "iscsi") taken_.push_back({*m.gateway.http, "gateway.http", nullptr});
  }

  void check(const config::target_config& target, const config::port_config& port, const std::string& path) {
    check_name(port, path);
    const config::place at = port.settings.where("listen", port.at);
    for (const std::string& text : port.settings.list("listen"))
      if (const auto address = config::parse_listen_address(text)) check_address(*address, at, target, port, path);
    if (port.settings.has("first_burst_length") && port.settings.has("max_burst_length") &&
        port.settings.number("first_burst_length", 0) > port.settings.number("max_burst_length", 0))
      complain(port.settings.where("first_burst_length"), path + ".first_burst_length", "is more than max_burst_length",
               "at most max_burst_length [RFC7143 13.14]");
  }

 private:
  struct holder {
    listen_address address;
    std::string by;
    const config::port_config* port;  // null: not a port
  };

  void complain(config::place at, std::string key, std::string problem, std::string allowed) {
    wrong_.push_back({at, std::move(key), std::move(problem), std::move(allowed)});
  }

  void check_name(const config::port_config& port, const std::string& path) {
    const std::string problem = port.name.empty() ? std::string() : target_name_problem(port.name);
    if (!problem.empty())
      complain(port.name_at, path + ".name", "\"" + port.name + "\" " + problem, target_name_spelling);
  }

  void check_address(const listen_address& address, config::place at, const config::target_config& target,
                     const config::port_config& port, const std::string& path) {
    const std::string key = path + ".listen";
    if (address.is_link_local() && address.host.find('%') == std::string::npos)
      complain(
          at, key, address.to_string() + " is link-local and could be on any interface",
          "the address with its interface, as in \"[" + address.host + "%eth0]:" + std::to_string(address.port) + "\"");
    for (const holder& other : taken_) check_together(address, at, port, key, other);
    taken_.push_back({address, key, &port});
    if (!target.open && target.access.empty() && !address.is_loopback())
      complain(at, key, address.to_string() + " is beyond loopback and everybody may log in",
               "an access table, open = true in [target." + config::quoted_if_needed(target.name) +
                   "], or a loopback address");
  }

  /// Ports share an address when they say it in the same way, and differ in their names: the name of a login chooses.
  void check_together(const listen_address& address, config::place at, const config::port_config& port,
                      const std::string& key, const holder& other) {
    if (!address.collides(other.address)) return;
    const std::string where = address.to_string();
    if (!other.port || address.host != other.address.host)
      complain(at, key, where + " is taken by " + other.by + " (" + other.address.to_string() + ")",
               other.port ? "the same address, which ports share, or another port number"
                          : "an address and port of its own");
    else if (other.port == &port)
      complain(at, key, where + " stands there twice", "each address once");
    else if (other.port->name == port.name)
      complain(at, key, where + " is an address of " + other.by + ", another group of the same target",
               "each address in one group of a target [RFC7143 4.2.7]");
  }

  config::diagnostics& wrong_;
  std::vector<holder> taken_;
};

/// Calls `each(access, path)` for the access tables of targets that iSCSI initiators reach.
template <class F>
void for_each_access(const config::model& m, F each) {
  for (const config::target_config& target : m.targets)
    for (const config::access_config& access : target.access)
      each(access, config::access_path(target.name, access.initiator));
}

void check_chap(const config::access_config& access, const std::string& path, config::diagnostics& wrong) {
  const config::values& v = access.settings;
  static constexpr std::pair<const char*, const char*> pairs[] = {{"chap.user", "chap.secret_file"},
                                                                  {"chap.mutual_user", "chap.mutual_secret_file"}};
  for (const auto& [user, secret] : pairs) {
    if (v.has(user) == v.has(secret)) continue;
    const std::string present = v.has(user) ? user : secret, absent = v.has(user) ? secret : user;
    wrong.push_back({v.where(present, access.at), path + "." + absent, "is missing", "both, or neither of them"});
  }
  if (v.has("chap.mutual_user") && !v.has("chap.user") && !v.has("chap.secret_file"))
    wrong.push_back({v.where("chap.mutual_user", access.at), path + ".chap.user", "is missing",
                     "mutual CHAP only together with chap.user and chap.secret_file"});
  const std::string* secret = v.text("chap.secret_file");
  const std::string* mutual = v.text("chap.mutual_secret_file");
  if (secret && mutual && *secret == *mutual)
    wrong.push_back({v.where("chap.mutual_secret_file", access.at), path + ".chap.mutual_secret_file",
                     "is chap.secret_file too", "another file with another secret [RFC7143 9.2.1]"});
}

/// The secret, or empty with a diagnostic.
std::string check_secret(const config::access_config& access, const std::string& key, const std::string& path,
                         config::diagnostics& wrong) {
  const std::string* file = access.settings.text(key);
  if (!file) return {};
  result<std::string> secret = config::read_secret(*file);
  if (secret) return std::move(*secret);
  wrong.push_back({access.settings.where(key, access.at), path + "." + key, secret.error().message,
                   "a file of 12 to 255 octets that only its owner can read"});
  return {};
}

}  // namespace

void check_ports(const config::model& m, const std::string& fabric, config::diagnostics& wrong) {
  port_checker checker(m, fabric, wrong);
  config::for_each_port(
      m, fabric, [&](const config::target_config& target, const config::port_config& port, const std::string& path) {
        checker.check(target, port, path);
      });
}

void check_access(const config::model& m, config::diagnostics& wrong) {
  for_each_access(
      m, [&](const config::access_config& access, const std::string& path) { check_chap(access, path, wrong); });
}

void warn_of_names(const config::model& m, const std::string& fabric, config::diagnostics& warnings) {
  std::vector<const config::target_config*> beyond;
  config::for_each_port(m, fabric,
                        [&](const config::target_config& target, const config::port_config& port, const std::string&) {
                          for (const std::string& text : port.settings.list("listen")) {
                            const auto address = config::parse_listen_address(text);
                            if (address && !address->is_loopback() && (beyond.empty() || beyond.back() != &target))
                              beyond.push_back(&target);
                          }
                        });
  for (const config::target_config* target : beyond)
    for (const config::access_config& access : target->access) {
      const std::string path = config::access_path(target->name, access.initiator);
      const bool is_told = std::any_of(warnings.begin(), warnings.end(),  // of a target with ports of two fabrics
                                       [&](const config::diagnostic& each) { return each.key == path; });
      if (!access.settings.has("chap.user") && !is_told)
        warnings.push_back({access.at, path,
                            "is admitted by its name alone, and anybody beyond loopback may say a name",
                            "chap.user and chap.secret_file"});
    }
}

void warn_of_groups(const config::model& m, const std::string& fabric, config::diagnostics& warnings) {
  using config::port_config;
  std::vector<const port_config*> others;
  config::for_each_port(m, "iscsi", [&](const config::target_config&, const port_config& port, const std::string&) {
    others.push_back(&port);
  });
  config::for_each_port(m, fabric, [&](const config::target_config&, const port_config& port, const std::string& path) {
    for (const port_config* other : others)
      if (other->name == port.name && other->group == port.group)
        warnings.push_back({port.at, path + ".group",
                            "is " + std::to_string(port.group) + ", as that of the iscsi port of the same name",
                            "a group of its own, by which initiators tell the two ports apart [RFC7143 4.2.7]"});
  });
}

void check_secrets(const config::model& m, config::diagnostics& wrong) {
  for_each_access(m, [&](const config::access_config& access, const std::string& path) {
    const std::string secret = check_secret(access, "chap.secret_file", path, wrong);
    const std::string mutual = check_secret(access, "chap.mutual_secret_file", path, wrong);
    const std::string* one = access.settings.text("chap.secret_file");
    const std::string* other = access.settings.text("chap.mutual_secret_file");
    if (!secret.empty() && secret == mutual && *one != *other)
      wrong.push_back({access.settings.where("chap.mutual_secret_file", access.at), path + ".chap.mutual_secret_file",
                       "holds the secret of chap.secret_file", "another secret [RFC7143 9.2.1]"});
  });
}

}  // namespace sluice::iscsi
