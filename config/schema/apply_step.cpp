#include <algorithm>

#include "actors/base/check.hpp"
#include "config/schema/plan.hpp"

namespace sluice::config {

namespace {

/// The element of that name, which a step of a plan for this model is sure to find.
template <class T>
T& get(std::vector<T>& all, const std::string& name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const T& each) { return each.name == name; });
  SLUICE_CHECK(found != all.end());
  return *found;
}
template <class T>
const T& get(const std::vector<T>& all, const std::string& name) {
  const T* found = find_named(all, name);
  SLUICE_CHECK(found != nullptr);
  return *found;
}

template <class T>
void insert(std::vector<T>& all, T one) {
  const auto at = std::find_if(all.begin(), all.end(), [&](const T& each) { return one.name < each.name; });
  all.insert(at, std::move(one));
}
template <class T>
void erase(std::vector<T>& all, const std::string& name) {
  std::erase_if(all, [&](const T& each) { return each.name == name; });
}

template <class Accesses>
auto& get_access(Accesses& all, const std::string& initiator) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& each) { return each.initiator == initiator; });
  SLUICE_CHECK(found != all.end());
  return *found;
}

lun_map& get_luns(model& m, const step& s) {
  target_config& target = get(m.targets, s.target);
  if (s.initiator.empty()) return target.luns;
  access_config& access = get_access(target.access, s.initiator);
  if (!access.luns) access.luns.emplace();
  return *access.luns;
}

void map_lun(lun_map& luns, const step& s) {
  const auto at = std::find_if(luns.begin(), luns.end(), [&](const lun_config& each) { return each.lun > s.lun; });
  luns.insert(at, {s.lun, s.name, {}});
}

/// Without its own LUNs: those are steps.
access_config bare(const access_config& access) {
  access_config out = access;
  if (out.luns) out.luns->clear();
  return out;
}

void add_access(model& running, const step& s, const model& to) {
  std::vector<access_config>& all = get(running.targets, s.target).access;
  const auto at = std::find_if(all.begin(), all.end(), [&](const auto& each) { return s.initiator < each.initiator; });
  all.insert(at, bare(get_access(get(to.targets, s.target).access, s.initiator)));
}

void change_access(model& running, const step& s, const model& to) {
  access_config& old = get_access(get(running.targets, s.target).access, s.initiator);
  access_config now = bare(get_access(get(to.targets, s.target).access, s.initiator));
  if (old.luns && now.luns) now.luns = old.luns;
  old = std::move(now);
}

void add_target(model& running, const step& s, const model& to) {
  target_config target;
  target.name = s.target;
  target.open = get(to.targets, s.target).open;
  insert(running.targets, std::move(target));
}

bool is_port(const port_config& port, const step& s) {
  return port.fabric == s.fabric && port.name == s.name && port.group == s.group;
}

void add_port(model& running, const step& s, const model& to) {
  for (const port_config& port : get(to.targets, s.target).ports)
    if (is_port(port, s)) get(running.targets, s.target).ports.push_back(port);
}

}  // namespace

void apply_step(model& running, const step& s, const model& to) {
  switch (s.what) {
    case action::add_store:
      return insert(running.stores, get(to.stores, s.name));
    case action::resize_store:
    case action::change_store:
      get(running.stores, s.name) = get(to.stores, s.name);
      return;
    case action::remove_store:
      return erase(running.stores, s.name);
    case action::add_unit:
      return insert(running.units, get(to.units, s.name));
    case action::change_unit:
      get(running.units, s.name) = get(to.units, s.name);
      return;
    case action::remove_unit:
      return erase(running.units, s.name);
    case action::add_target:
      return add_target(running, s, to);
    case action::change_target:
      get(running.targets, s.target).open = get(to.targets, s.target).open;
      return;
    case action::remove_target:
      return erase(running.targets, s.target);
    case action::add_access:
      return add_access(running, s, to);
    case action::change_access:
      return change_access(running, s, to);
    case action::remove_access:
      std::erase_if(get(running.targets, s.target).access,
                    [&](const auto& each) { return each.initiator == s.initiator; });
      return;
    case action::map_lun:
      return map_lun(get_luns(running, s), s);
    case action::unmap_lun:
      std::erase_if(get_luns(running, s), [&](const auto& each) { return each.lun == s.lun; });
      return;
    case action::add_port:
      return add_port(running, s, to);
    case action::remove_port:
      std::erase_if(get(running.targets, s.target).ports, [&](const auto& each) { return is_port(each, s); });
      return;
    case action::change_log:
      running.gateway.log = to.gateway.log;
      running.gateway.log_level = to.gateway.log_level;
      return;
  }
}

}  // namespace sluice::config
