#include "config/schema/plan.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>

namespace sluice::config {

namespace {

using rc::gen::inRange;

store_config make_store(const std::string& name, const std::string& type, std::uint64_t size,
                        const std::string& over = "") {
  store_config out;
  out.name = name;
  out.type = type;
  out.over = over;
  if (!over.empty()) out.settings.set("over", over);
  if (size > 0) out.settings.set("size", size);
  return out;
}

unit_config make_unit(const std::string& name, const std::string& store) {
  unit_config out;
  out.name = name;
  out.store = store;
  return out;
}

lun_map some_luns(const std::vector<unit_config>& units) {
  lun_map out;
  for (std::uint16_t lun = 0; lun < 4; ++lun)
    if (!units.empty() && *inRange(0, 2)) out.push_back({lun, units[*inRange<std::size_t>(0, units.size())].name, {}});
  return out;
}

target_config some_target(const std::string& name, const std::vector<unit_config>& units) {
  target_config out;
  out.name = name;
  out.luns = some_luns(units);
  out.open = *inRange(0, 2) == 1;
  for (const char* initiator : {"iqn.2000-01.a", "iqn.2000-01.b"}) {
    if (*inRange(0, 2)) continue;
    access_config access;
    access.initiator = initiator;
    if (*inRange(0, 2)) access.luns = some_luns(units);
    if (*inRange(0, 2)) access.settings.set("chap.user", "u" + std::to_string(*inRange(0, 2)));
    out.access.push_back(access);
  }
  for (std::uint16_t group = 1; group < 3; ++group) {
    if (*inRange(0, 2)) continue;
    port_config port;
    port.fabric = "iscsi";
    port.name = "iqn.2000-01.t:" + name;
    port.group = group;
    port.settings.set("listen", std::vector<std::string>{"127.0.0.1:" + std::to_string(*inRange(3000, 3002))});
    out.ports.push_back(port);
  }
  return out;
}

/// Any model: a few stores, tiers over some, units over what is on top, targets with LUNs and access tables.
model some_model() {
  model out;
  for (const char* name : {"a", "b", "c"})
    if (*inRange(0, 3)) out.stores.push_back(make_store(name, *inRange(0, 2) ? "ram" : "file", 1024 * *inRange(1, 3)));
  std::vector<std::string> tops;
  for (const store_config& s : std::vector<store_config>(out.stores)) {
    const bool tier = *inRange(0, 2) == 1;
    if (tier) out.stores.push_back(make_store(s.name + "-hot", "cache", 0, s.name));
    tops.push_back(tier ? s.name + "-hot" : s.name);
  }
  for (const std::string& top : tops) {
    unit_config unit = make_unit("u" + std::to_string(*inRange(0, 4)), top);
    unit.read_only = *inRange(0, 2) == 1;
    unit.block_size = *inRange(0, 2) ? 512 : 1024;
    if (!find_named(out.units, unit.name)) out.units.push_back(unit);
  }
  const auto by_name = [](const auto& x, const auto& y) { return x.name < y.name; };
  std::sort(out.stores.begin(), out.stores.end(), by_name);
  std::sort(out.units.begin(), out.units.end(), by_name);
  for (const char* name : {"t1", "t2"})
    if (*inRange(0, 3)) out.targets.push_back(some_target(name, out.units));
  out.gateway.log_level = *inRange(0, 2) ? log_threshold::info : log_threshold::debug;
  return out;
}

model with_sorted_ports(model m) {
  for (target_config& t : m.targets)
    std::sort(t.ports.begin(), t.ports.end(), [](const auto& a, const auto& b) { return a.group < b.group; });
  return m;
}

/// What must hold after every single step.
void check_sound(const model& m) {
  for (const store_config& s : m.stores) RC_ASSERT(s.over.empty() || find_named(m.stores, s.over) != nullptr);
  for (const unit_config& u : m.units) RC_ASSERT(find_named(m.stores, u.store) != nullptr);
  for (const target_config& t : m.targets) {
    for (const lun_config& l : t.luns) RC_ASSERT(find_named(m.units, l.unit) != nullptr);
    for (const access_config& a : t.access)
      for (const lun_config& l : a.luns.value_or(lun_map{})) RC_ASSERT(find_named(m.units, l.unit) != nullptr);
  }
}

RC_GTEST_PROP(plan, leads_from_any_model_to_any_other_and_no_step_leaves_a_dangling_name, ()) {
  const model from = some_model(), to = some_model();
  const plan p = make_plan(from, to);
  RC_PRE(p.refused.empty());
  model running = from;
  for (const step& s : p.steps) {
    apply_step(running, s, to);
    check_sound(running);
    // A target that stays limited is never open to everybody on the way.
    for (const target_config& t : running.targets) {
      const target_config *a = find_named(from.targets, t.name), *b = find_named(to.targets, t.name);
      if (a && b && !a->access.empty() && !b->access.empty()) RC_ASSERT(!t.access.empty());
    }
  }
  RC_ASSERT(with_sorted_ports(running) == with_sorted_ports(to));
}

RC_GTEST_PROP(plan, is_empty_between_equals, ()) {
  const model m = some_model();
  RC_ASSERT(make_plan(m, m).empty());
}

RC_GTEST_PROP(plan, can_be_undone_after_any_step, ()) {
  const model from = some_model(), to = some_model();
  const plan p = make_plan(from, to);
  RC_PRE(p.refused.empty());
  model running = from;
  const std::size_t stop_after = *inRange<std::size_t>(0, p.steps.size() + 1);
  for (std::size_t i = 0; i < stop_after; ++i) apply_step(running, p.steps[i], to);
  const plan back = make_plan(running, from);
  for (const step& s : back.steps) {
    apply_step(running, s, from);
    check_sound(running);
  }
  if (back.refused.empty()) RC_ASSERT(with_sorted_ports(running) == with_sorted_ports(from));
}

model two_units() {
  model m;
  m.stores = {make_store("a", "ram", 1024), make_store("b", "ram", 1024)};
  m.units = {make_unit("a", "a"), make_unit("b", "b")};
  target_config t;
  t.name = "t";
  t.luns = {{0, "a", {}}, {1, "b", {}}};
  m.targets = {t};
  return m;
}

TEST(plan, touches_only_what_changes) {
  const model from = two_units();
  model to = from;
  to.stores[1].settings.set("size", std::uint64_t{4096});
  to.units[0].read_only = true;
  EXPECT_EQ(to_text(make_plan(from, to)), "~ store b: size 1KiB -> 4KiB\n~ unit a: read_only false -> true\n");
}

TEST(plan, changes_in_place_what_the_type_of_a_store_can_change_while_it_runs) {
  const key ram{.name = "ram", .type = kind::size, .help = "memory", .live = true};
  const key mode{.name = "mode", .help = "writes", .otherwise = "write-through", .live = true};
  const key line{.name = "line", .help = "of a block"};
  const known_types known{.stores = {{"cache", {ram, mode, line}}}, .fabrics = {}};
  model from = two_units();
  from.stores.push_back(make_store("hot", "cache", 0, "a"));
  from.stores[2].settings.set("ram", std::uint64_t{1} << 30);
  from.units[0].store = "hot";
  model to = from;
  to.stores[2].settings.set("ram", std::uint64_t{2} << 30);
  to.stores[2].settings.set("mode", std::string("write-around"));
  const plan p = make_plan(from, to, known);
  EXPECT_EQ(to_text(p), "~ store hot: mode write-through -> write-around, ram 1GiB -> 2GiB\n");
  model running = from;
  for (const step& s : p.steps) apply_step(running, s, to);
  EXPECT_EQ(running, to);
  to.stores[2].settings.set("line", std::string("x"));
  EXPECT_EQ(make_plan(from, to, known).steps.size(), 6U) << "the store and its unit go and come";
}

TEST(plan, replaces_what_cannot_be_changed_with_all_that_lies_over_it) {
  const model from = two_units();
  model to = from;
  to.stores[1].type = "file";
  EXPECT_EQ(
      to_text(make_plan(from, to)),
      "- target t: LUN 1 = b\n- unit b\n- store b\n+ store b: file, 1KiB\n+ unit b: store b\n+ target t: LUN 1 = b\n");
}

TEST(plan, opens_a_new_store_first_unless_its_medium_is_in_use) {
  const model from = two_units();
  model to = from;
  to.stores[0].settings.set("path", std::string("/x"));
  to.stores.push_back(make_store("c", "ram", 1024));
  EXPECT_EQ(make_plan(from, to).steps.front().text, "+ store c: ram, 1KiB");

  model renamed = to;
  renamed.stores[0].name = "z";
  renamed.units[0].store = "z";
  const plan p = make_plan(to, renamed);
  const auto at = [&p](action what) {
    return std::find_if(p.steps.begin(), p.steps.end(), [what](const step& s) { return s.what == what; });
  };
  EXPECT_LT(at(action::remove_store), at(action::add_store)) << to_text(p);
}

TEST(plan, refuses_what_needs_a_restart_or_loses_data) {
  const model from = two_units();
  model to = from;
  to.gateway.reactor_count = 4;
  to.stores[0].settings.set("size", std::uint64_t{512});
  const plan p = make_plan(from, to);
  ASSERT_EQ(p.refused.size(), 2u);
  EXPECT_EQ(p.refused[0].key, "gateway.reactors");
  EXPECT_EQ(p.refused[1].key, "store.a.size");
}

}  // namespace

}  // namespace sluice::config
