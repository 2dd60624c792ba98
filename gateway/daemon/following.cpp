#include "gateway/daemon/following.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "gateway/daemon/steps.hpp"

namespace sluice::daemon {

namespace {

using groups = std::vector<scsi::target_port_group>;

/// Initiators hear that a part of the medium failed, and that data were found to be lost [SPC-5 annex D: 0Bh].
void warn(const std::shared_ptr<running_unit>& unit, const store::properties& medium, std::vector<unit_change>& told) {
  const auto tell = [&](scsi::additional_sense code) {
    told.push_back({unit, [code](unit::coordinator& coordinator, unit::coordinator::done done) {
                      coordinator.establish_unit_attention(code, 0, std::move(done));
                    }});
  };
  if (std::exchange(unit->failures, medium.failures) < medium.failures) tell(scsi::asc::warning);
  if (std::exchange(unit->losses, medium.losses) < medium.losses) tell(scsi::asc::background_medium_error);
}

void follow(const std::shared_ptr<running_unit>& unit, const config::unit_config& config,
            std::vector<unit_change>& told) {
  const store::properties medium = unit->medium->describe();
  scsi::unit_facts facts = facts_of(config, medium);
  facts.serial = unit->facts.serial;
  facts.naa = unit->facts.naa;
  facts.naa_extension = unit->facts.naa_extension;
  facts.explicit_access = unit->facts.explicit_access;
  const std::uint64_t capacity = std::exchange(facts.capacity_blocks, unit->facts.capacity_blocks);
  if (facts != unit->facts)
    told.push_back({unit, [facts](unit::coordinator& coordinator, unit::coordinator::done done) {
                      coordinator.set_facts(facts, std::move(done));
                    }});
  if (capacity != facts.capacity_blocks)
    told.push_back({unit, [capacity](unit::coordinator& coordinator, unit::coordinator::done done) {
                      coordinator.set_capacity(capacity, std::move(done));
                    }});
  facts.capacity_blocks = capacity;
  unit->facts = facts;
  warn(unit, medium, told);
}

/// The groups of one target's ports, by number; the ports of each in ascending order.
groups groups_of(const running_snapshot& seen, const std::string& target) {
  std::map<std::uint16_t, scsi::target_port_group> by_number;
  for (const auto& port : seen.ports) {
    if (port->target != target) continue;
    scsi::target_port_group& group = by_number[port->config.group];
    group.number = port->config.group;
    group.ports.push_back(port->relative_id);
  }
  groups listed;
  for (auto& [number, group] : by_number) {
    std::sort(group.ports.begin(), group.ports.end());
    listed.push_back(std::move(group));
  }
  return listed;
}

void merge(groups& into, const groups& more) {
  for (const scsi::target_port_group& each : more) {
    const auto at = std::lower_bound(into.begin(), into.end(), each.number,
                                     [](const auto& group, std::uint16_t number) { return group.number < number; });
    if (at == into.end() || at->number != each.number) {
      into.insert(at, each);
      continue;
    }
    at->ports.insert(at->ports.end(), each.ports.begin(), each.ports.end());
    std::sort(at->ports.begin(), at->ports.end());
  }
}

/// By unit, from one look at every LUN.
std::unordered_map<std::string_view, groups> all_groups(const running_snapshot& seen) {
  std::unordered_map<std::string_view, groups> by_unit;
  for (const config::target_config& target : seen.model->targets) {
    const groups own = groups_of(seen, target.name);
    if (own.empty()) continue;
    std::unordered_set<std::string_view> units;
    for (const config::lun_config& lun : target.luns) units.insert(lun.unit);
    for (const config::access_config& access : target.access)
      if (access.luns)
        for (const config::lun_config& lun : *access.luns) units.insert(lun.unit);
    for (const std::string_view unit : units) merge(by_unit[unit], own);
  }
  return by_unit;
}

}  // namespace

void follow_units(running& now, const running_snapshot& seen, const std::set<std::string>& names) {
  std::vector<unit_change> told;
  for (const std::string& name : names)
    if (const auto unit = seen.units.find(name); unit != seen.units.end())
      follow(unit->second, *config::find_named(seen.model->units, name), told);
  change_units(told, now.made_of.cores, now.made_of.wait);
}

void follow_media(running& now) {
  take_over(now);
  const auto seen = now.seen();
  std::vector<unit_change> told;
  for (const auto& [name, unit] : seen->units) follow(unit, *config::find_named(seen->model->units, name), told);
  change_units(told, now.made_of.cores, now.made_of.wait);
}

void follow_ports(running& now, const running_snapshot& seen) {
  const auto wanted = all_groups(seen);
  const groups none;
  std::vector<unit_change> told;
  for (const auto& [name, unit] : seen.units) {
    const auto found = wanted.find(name);
    const groups& ports = found == wanted.end() ? none : found->second;
    if (ports == unit->groups) continue;
    unit->groups = ports;
    told.push_back({unit, [ports](unit::coordinator& coordinator, unit::coordinator::done done) {
                      coordinator.set_groups(ports, std::move(done));
                    }});
  }
  change_units(told, now.made_of.cores, now.made_of.wait);
}

}  // namespace sluice::daemon
