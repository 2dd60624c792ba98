#include "gateway/access/directory.hpp"

namespace sluice::access {

std::optional<found_port> find_port(const directory& where, const std::string& port_name) {
  for (const target_entry& target : where.targets)
    for (const port_entry& port : target.ports)
      if (port.name == port_name) return found_port{&target, &port};
  return std::nullopt;
}

port::access check(const target_entry& target, const std::string& initiator_name) {
  const auto listed = target.initiators.find(initiator_name);
  if (listed != target.initiators.end()) return {true, listed->second.chap};
  return {target.open || target.initiators.empty(), {}};
}

const lun_map& luns_of(const target_entry& target, const std::string& initiator_name) {
  const auto listed = target.initiators.find(initiator_name);
  return listed != target.initiators.end() && listed->second.luns ? *listed->second.luns : target.luns;
}

std::vector<port::visible_target> visible(const directory& where, const std::string& fabric,
                                          const std::string& initiator_name) {
  std::vector<port::visible_target> seen;
  for (const target_entry& target : where.targets) {
    if (!check(target, initiator_name).allowed) continue;
    for (const port_entry& port : target.ports)
      if (port.fabric == fabric) seen.push_back({port.name, port.portals, port.group});
  }
  return seen;
}

}  // namespace sluice::access
