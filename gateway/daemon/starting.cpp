#include "gateway/daemon/starting.hpp"

#include <algorithm>
#include <set>

#include "gateway/agreement/joining.hpp"
#include "gateway/state/identity.hpp"

namespace sluice::daemon {

namespace {

using names = std::set<std::string>;

/// The longest name that the sentence goes on with after `noun`; names may have dots in them.
template <class T>
std::string named_by(const std::string& sentence, const std::string& noun, const std::vector<T>& all) {
  std::string found;
  for (const T& each : all) {
    const std::string prefix = noun + each.name;
    if (!sentence.starts_with(prefix) || each.name.size() <= found.size()) continue;
    const char after = sentence.size() > prefix.size() ? sentence[prefix.size()] : '\0';
    if (after == ':' || after == '.') found = each.name;
  }
  return found;
}

/// A store and all that lie over it.
names with_those_over(const config::model& model, const std::string& store) {
  names all{store};
  for (bool more = true; more;) {
    more = false;
    for (const config::store_config& each : model.stores)
      if (all.contains(each.over)) more = all.insert(each.name).second || more;
  }
  return all;
}

/// The stores that units use, themselves or through others.
names used_stores(const config::model& model) {
  names all;
  for (const config::unit_config& unit : model.units)
    for (const config::store_config* at = config::find_named(model.stores, unit.store); at;
         at = at->over.empty() ? nullptr : config::find_named(model.stores, at->over))
      if (!all.insert(at->name).second) break;
  return all;
}

void erase_luns(config::lun_map& luns, const names& units) {
  std::erase_if(luns, [&](const config::lun_config& each) { return units.contains(each.unit); });
}

void erase_units(config::model& model, const names& units) {
  std::erase_if(model.units, [&](const config::unit_config& each) { return units.contains(each.name); });
  for (config::target_config& target : model.targets) {
    erase_luns(target.luns, units);
    for (config::access_config& access : target.access)
      if (access.luns) erase_luns(*access.luns, units);
  }
}

}  // namespace

bool is_known(state::state_store& state, const std::string& unit) {
  const auto record = state.load(agreement::record_name(unit));
  const auto former = state.load(state::identity_key(unit));
  return !record || *record || !former || *former;
}

result<smaller_model> leave_out(const config::model& wanted, const std::string& refusal, state::state_store& state) {
  const std::string store = named_by(refusal, "store.", wanted.stores);
  const std::string unit = named_by(refusal, "unit.", wanted.units);
  if (store.empty() && unit.empty()) return fail(errc::not_found, refusal);
  const names stores = store.empty() ? names{} : with_those_over(wanted, store);
  smaller_model made{wanted, {}};
  names gone;
  for (const config::unit_config& each : wanted.units) {
    if (each.name != unit && !stores.contains(each.store)) continue;
    if (!is_known(state, each.name)) return fail(errc::invalid_argument, refusal);
    gone.insert(each.name);
    made.absent.push_back({each.name, each.store, refusal});
  }
  if (gone.empty()) return fail(errc::invalid_argument, refusal);
  const names before = used_stores(wanted);
  erase_units(made.model, gone);
  const names after = used_stores(made.model);
  std::erase_if(made.model.stores, [&](const config::store_config& each) {
    return stores.contains(each.name) || (before.contains(each.name) && !after.contains(each.name));
  });
  return made;
}

}  // namespace sluice::daemon
