#include <map>

#include "config/schema/address.hpp"
#include "fabrics/srp/srp_fabric.hpp"

namespace sluice::srp {
namespace {

constexpr const char* name_spelling = "the ID extension and the GUID of the I/O controller, 16 hex digits each";

std::string canonical(const std::string& name) {
  const auto id = parse_identifier(name);
  return id ? to_text(*id) : name;
}

/// Why it can be no name; empty when it can.
std::string problem_of(const std::string& name) {
  const auto id = parse_identifier(name);
  return id ? "" : id.error().message;
}

class port_checker {
 public:
  explicit port_checker(config::diagnostics& wrong) : wrong_(wrong) {}

  void check(const config::target_config& target, const config::port_config& port, const std::string& path) {
    if (const std::string why = problem_of(port.name); !why.empty())
      wrong_.push_back({port.name_at, path + ".name", "\"" + port.name + "\" " + why, name_spelling});
    const config::place at = port.settings.where("listen", port.at);
    for (const std::string& text : port.settings.list("listen")) {
      const auto address = config::parse_listen_address(text);
      if (!address) continue;
      if (!taken_.emplace(std::pair(address->to_string(), port.name), path).second)
        wrong_.push_back({at, path + ".listen", address->to_string() + " has a port of that name already",
                          "each address once, or in one group of a target"});
      if (!target.open && target.access.empty() && !address->is_loopback())
        wrong_.push_back({at, path + ".listen", address->to_string() + " is beyond loopback and everybody may log in",
                          "an access table, open = true in the target, or a loopback address"});
    }
  }

 private:
  config::diagnostics& wrong_;
  std::map<std::pair<std::string, std::string>, std::string> taken_;
};

void check(const config::model& m, config::diagnostics& wrong) {
  port_checker checker(wrong);
  config::for_each_port(
      m, "srp", [&](const config::target_config& target, const config::port_config& port, const std::string& path) {
        checker.check(target, port, path);
      });
}

}  // namespace

config::fabric_rules rules() {
  using config::kind;
  config::fabric_rules made;
  made.name = "srp";
  made.port_keys = {
      {.name = "name",
       .required = true,
       .help = "the target port's identifier: ID extension and GUID of the I/O controller, 32 hex digits"},
      {.name = "listen",
       .type = kind::endpoints,
       .required = true,
       .help = "addresses of RDMA devices where it takes logins by RDMA/CM, alone or with other ports"}};
  made.canonical_name = canonical;
  made.initiator_problem = problem_of;
  made.check = check;
  return made;
}

}  // namespace sluice::srp
