#include "gateway/access/directory.hpp"

#include <atomic>

namespace sluice::access {

namespace {

/// The initiator's own entry; null when it has none, or no name to be listed by.
const initiator_entry* entry_of(const found_port& at, const std::string& initiator_name) {
  if (!at.port->descriptor.names_initiators) return nullptr;
  const auto listed = at.target->initiators.find(initiator_name);
  return listed == at.target->initiators.end() ? nullptr : &listed->second;
}

}  // namespace

directory make_directory(std::vector<target_entry> targets) {
  static std::atomic<std::uint64_t> versions{0};
  directory made{++versions, std::move(targets), {}};
  for (std::size_t t = 0; t < made.targets.size(); ++t)
    for (std::size_t p = 0; p < made.targets[t].ports.size(); ++p)
      made.ports.emplace(made.targets[t].ports[p].descriptor.id, std::pair(t, p));
  return made;
}

std::optional<found_port> find_port(const directory& where, const port::port_id& id) {
  const auto found = where.ports.find(id);
  if (found == where.ports.end()) return std::nullopt;
  const target_entry& target = where.targets[found->second.first];
  return found_port{&target, &target.ports[found->second.second]};
}

port::access check(const found_port& at, const std::string& initiator_name) {
  if (!at.port->descriptor.names_initiators) return {true, nullptr};
  const initiator_entry* listed = entry_of(at, initiator_name);
  if (!listed) return {at.target->open || at.target->initiators.empty(), nullptr};
  const auto kept = listed->credentials.find(at.port->descriptor.id.fabric);
  return {true, kept == listed->credentials.end() ? nullptr : kept->second};
}

const lun_map& luns_of(const found_port& at, const std::string& initiator_name) {
  const initiator_entry* listed = entry_of(at, initiator_name);
  return listed && listed->luns ? *listed->luns : at.target->luns;
}

}  // namespace sluice::access
