#include "gateway/agreement/agreed.hpp"

namespace sluice::agreement {

scsi::asymmetric_access access_through(const agreed& now, gateway_id gateway) {
  if (!now.owned || now.owned->owner == gateway) return scsi::asymmetric_access::active_optimized;
  if (now.owned->owner == 0) return scsi::asymmetric_access::transitioning;
  const auto groups = now.ports.find(gateway);
  const bool relays = groups != now.ports.end() && !groups->second.empty() &&
                      groups->second.front().state == scsi::asymmetric_access::active_non_optimized;
  return relays ? scsi::asymmetric_access::active_non_optimized : scsi::asymmetric_access::standby;
}

std::vector<scsi::target_port_group> groups_of(const agreed& now) {
  std::map<std::uint16_t, scsi::target_port_group> merged;
  for (const auto& [gateway, groups] : now.ports)
    for (scsi::target_port_group group : groups) {
      if (now.owned) group.state = access_through(now, gateway);
      const auto [at, fresh] = merged.emplace(group.number, group);
      if (!fresh) at->second.ports.insert(at->second.ports.end(), group.ports.begin(), group.ports.end());
    }
  std::vector<scsi::target_port_group> listed;
  for (auto& [number, group] : merged) listed.push_back(std::move(group));
  return listed;
}

std::vector<std::uint16_t> target_ports_of(const agreed& now) {
  std::vector<std::uint16_t> all;
  for (const auto& [gateway, groups] : now.ports)
    for (const scsi::target_port_group& group : groups) all.insert(all.end(), group.ports.begin(), group.ports.end());
  return all;
}

lasting lasting_part(const agreed& now) {
  lasting part{now.serial, now.saved_mode, std::nullopt};
  if (!now.reservations.aptpl || now.reservations.registrants.empty()) return part;
  part.reservations = now.reservations;
  part.reservations->generation = 0;
  return part;
}

}  // namespace sluice::agreement
