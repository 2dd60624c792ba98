#include "gateway/daemon/reconciler.hpp"

#include <algorithm>

#include "gateway/daemon/secrets.hpp"
#include "gateway/daemon/steps.hpp"

namespace sluice::daemon {

namespace {

using config::action;

bool opens_store(action what) {
  return what == action::add_store || what == action::replace_store;
}
bool starts_unit(action what) {
  return what == action::add_unit || what == action::replace_unit;
}

/// Makes the steps of those actions, in the order of the plan.
class maker {
 public:
  maker(change& in, const config::plan& of) : in_(in), plan_(of) {}

  template <class Make>
  void add(std::initializer_list<action> which, Make make) {
    for (const config::step& told : plan_.steps)
      if (std::find(which.begin(), which.end(), told.what) != which.end()) made.push_back(make(in_, told));
  }
  template <class Make>
  void part(bool (*which)(action), Make make) {
    for (const config::step& told : plan_.steps)
      if (which(told.what)) make(told);
  }

  steps made;

 private:
  change& in_;
  const config::plan& plan_;
};

/// Whether initiators see anything of it: then there is a new directory.
bool is_visible(const config::plan& p) {
  return std::any_of(p.steps.begin(), p.steps.end(), [](const config::step& told) {
    return told.what == action::replace_unit || told.what >= action::add_target;
  });
}

}  // namespace

config::plan plan_for(const change& in) {
  config::standing standing{*in.before->model};
  config::model nothing;
  if (!in.before->runs) {
    nothing.gateway = in.wanted->gateway;
    nothing.cluster = in.wanted->cluster;
    return config::make_plan({nothing}, *in.wanted, in.now.known);
  }
  standing.size_of = [&](const std::string& store) { return in.before->stores.at(store)->describe().size_bytes; };
  standing.secrets_differ = [&](const std::string& target, const config::access_config& now) {
    return secrets_differ(in.now.made_of.fabrics, *in.before->directory, target, now);
  };
  return config::make_plan(standing, *in.wanted, in.now.known);
}

steps make_steps(change& in, const config::plan& p) {
  for (const config::step& told : p.steps) {
    if (opens_store(told.what)) in.opening.insert(told.name);
    if (told.what == action::remove_store || told.what == action::replace_store) in.handing_over.insert(told.name);
  }
  maker all(in, p);
  all.made.push_back(make_take_over_step(in));
  all.add({action::change_log}, make_access_step);
  all.add({action::add_store, action::change_store, action::replace_store}, make_store_step);
  // The plan takes tiers away before what they lie over, and the last step is finished first.
  const std::size_t removals = all.made.size();
  all.add({action::remove_store}, make_store_step);
  std::reverse(all.made.begin() + static_cast<std::ptrdiff_t>(removals), all.made.end());
  for (const config::step& told : p.steps)
    if (told.what == action::remove_store || told.what == action::replace_store || told.what == action::change_store)
      all.made.push_back(make_hand_over_step(in, told.name, told.what != action::change_store));
  all.part(opens_store, [&](const config::step& told) {
    if (!config::find_named(in.wanted->stores, told.name)->over.empty())
      all.made.push_back(make_claim_step(in, told.name));
  });
  all.made.push_back(make_units_end_step(in));
  std::vector<std::string> starting;
  all.part(starts_unit, [&](const config::step& told) { starting.push_back(told.name); });
  all.add({action::add_unit, action::change_unit, action::replace_unit, action::remove_unit}, make_unit_step);
  all.made.push_back(make_units_begin_step(in));
  for (const config::step& told : p.steps)
    if (told.what >= action::add_target && told.what <= action::unmap_lun)
      all.made.push_back(make_access_step(in, told));
  all.add({action::add_port, action::change_port, action::remove_port}, make_port_step);
  for (const std::string& unit : starting) all.made.push_back(make_forget_binding_step(in, unit));
  all.made.push_back(make_show_step(in, is_visible(p)));
  all.add({action::resize_store}, make_store_step);
  return std::move(all.made);
}

void tell_doubts(const steps& all, config::plan& p) {
  for (const auto& each : all) p.warnings.insert(p.warnings.end(), each->doubts().begin(), each->doubts().end());
}

void ask(const steps& all, config::plan& p) {
  std::vector<config::step> told;
  for (const auto& each : all) {
    const auto could = each->check();
    if (!each->told().text.empty()) told.push_back(each->told());
    if (could) continue;
    const std::string& sentence = could.error().message;
    const std::size_t colon = sentence.find(": ");
    p.refused.push_back({sentence.substr(0, colon), sentence.substr(colon == std::string::npos ? 0 : colon + 2)});
  }
  for (config::step& each : told)
    if (each.drops_sessions > 0)
      each.text +=
          " (ends " + std::to_string(each.drops_sessions) + (each.drops_sessions == 1 ? " session)" : " sessions)");
  p.steps = std::move(told);
}

}  // namespace sluice::daemon
