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

plan plan_between(const model& from, const model& to, const known_types& known = {}) {
  return make_plan({from}, to, known);
}

bool is_of_store(action what) {
  return what == action::add_store || what == action::change_store || what == action::replace_store;
}

RC_GTEST_PROP(plan, names_what_differs_once_and_what_it_needs_before_it, ()) {
  const model from = some_model(), to = some_model();
  const plan p = plan_between(from, to);
  std::set<std::string> texts, stores;
  for (const step& s : p.steps) {
    RC_ASSERT(texts.insert(s.text).second);
    if (!is_of_store(s.what)) continue;
    const store_config* store = find_named(to.stores, s.name);
    RC_ASSERT(store != nullptr);
    const bool below_comes_later = !store->over.empty() && !stores.contains(store->over) &&
                                   std::any_of(p.steps.begin(), p.steps.end(), [&](const step& other) {
                                     return is_of_store(other.what) && other.name == store->over;
                                   });
    RC_ASSERT(!below_comes_later);
    stores.insert(s.name);
  }
  // A unit whose store goes goes over to another, or goes.
  for (const unit_config& unit : from.units) {
    if (find_named(to.stores, unit.store)) continue;
    RC_ASSERT(std::any_of(p.steps.begin(), p.steps.end(), [&](const step& s) {
      return s.name == unit.name && (s.what == action::replace_unit || s.what == action::remove_unit);
    }));
  }
}

RC_GTEST_PROP(plan, is_empty_between_equals, ()) {
  const model m = some_model();
  RC_ASSERT(plan_between(m, m).empty());
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
  EXPECT_EQ(to_text(plan_between(from, to)), "~ unit a: read_only false -> true\n~ store b: size 1KiB -> 4KiB\n");
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
  const plan p = plan_between(from, to, known);
  EXPECT_EQ(to_text(p), "~ store hot: mode write-through -> write-around, ram 1GiB -> 2GiB\n");
  to.stores[2].settings.set("line", std::string("x"));
  EXPECT_EQ(to_text(plan_between(from, to, known)),
            "~ store hot: opened anew: line none -> x, mode write-through -> write-around, ram 1GiB -> 2GiB\n"
            "~ unit a: goes over to store hot as it is opened anew\n");
}

TEST(plan, replaces_what_cannot_be_changed_with_all_that_lies_over_it) {
  const model from = two_units();
  model to = from;
  to.stores[1].type = "file";
  EXPECT_EQ(to_text(plan_between(from, to)),
            "~ store b: opened anew: type ram -> file\n~ unit b: goes over to store b as it is opened anew\n");
}

TEST(plan, says_in_words_that_another_disk_comes_behind_a_lun) {
  const model from = two_units();
  model to = from;
  to.targets[0].luns = {{0, "b", {}}, {1, "b", {}}};
  EXPECT_EQ(to_text(plan_between(from, to)), "~ target t: LUN 0 = a -> b: another disk behind the same LUN\n");
}

TEST(plan, says_how_a_cache_comes_and_goes_and_the_disk_stays) {
  model with_store = two_units();
  with_store.units[0].implied = true;
  model with_cache = with_store;
  with_cache.stores.push_back(make_store("hot", "cache", 0, "a"));
  with_cache.units = {with_store.units[1], make_unit("hot", "hot")};
  with_cache.units[1].implied = true;
  with_cache.targets[0].luns[0].unit = "hot";
  const std::string put_over = to_text(plan_between(with_store, with_cache));
  EXPECT_NE(put_over.find("LUN 0 = a -> hot: another disk behind the same LUN over the same blocks; to keep the disk: "
                          "0 = \"a\", and store = \"hot\" under [unit.a]\n"),
            std::string::npos)
      << put_over;
  const std::string taken_away = to_text(plan_between(with_cache, with_store));
  EXPECT_NE(taken_away.find("to keep the disk: 0 = \"hot\", and store = \"a\" under [unit.hot]\n"), std::string::npos)
      << taken_away;
  with_cache.units[1].implied = false;
  EXPECT_NE(to_text(plan_between(with_store, with_cache)).find("under [unit.a] in place of [unit.hot]\n"),
            std::string::npos);

  model as_told = with_cache;
  as_told.units = with_store.units;
  as_told.units[0].store = "hot";
  as_told.targets = with_store.targets;
  EXPECT_EQ(to_text(plan_between(with_store, as_told)),
            "+ store hot: cache over a\n~ unit a: goes over from store a to hot\n");
}

TEST(plan, compares_sizes_with_what_runs) {
  const model file = two_units();
  std::uint64_t runs = 4096;
  standing now{file};
  now.size_of = [&](const std::string& store) { return store == "b" ? runs : 1024; };
  EXPECT_EQ(to_text(make_plan(now, file)),
            "? store.b.size: the file says 1KiB, the store has 4KiB and keeps them; write size = \"4KiB\"\n");
  model to = file;
  to.stores[1].settings.set("size", std::uint64_t{4096});
  EXPECT_TRUE(make_plan(now, to).empty()) << "as `sluice unit resize` left it";
  to.stores[1].settings.set("size", std::uint64_t{2048});
  EXPECT_EQ(make_plan(now, to).refused.size(), 1U) << "only a command cuts a store";
  runs = 512;
  EXPECT_EQ(to_text(make_plan(now, file)), "~ store b: size 512B -> 1KiB\n");
}

TEST(plan, shows_a_secret_that_was_rotated_in_its_file) {
  model from = two_units();
  access_config access;
  access.initiator = "iqn.2000-01.a";
  from.targets[0].access = {access};
  standing now{from};
  now.secrets_differ = [](const std::string& target, const access_config& of) {
    return target == "t" && of.initiator == "iqn.2000-01.a";
  };
  EXPECT_EQ(to_text(make_plan(now, from)), "~ target t: access of iqn.2000-01.a: another secret in its file\n");
}

TEST(plan, changes_what_a_unit_says_of_itself_but_not_who_it_is) {
  const model from = two_units();
  model to = from;
  to.units[0].product = "Disk";
  to.units[0].rotational = true;
  EXPECT_EQ(to_text(plan_between(from, to)), "~ unit a: product none -> Disk, rotational none -> true\n");
  to.units[1].naa = "naa.6001405aabbccddeeff001122334455a";
  EXPECT_EQ(plan_between(from, to).refused.at(0).key, "unit.b.naa");
}

TEST(plan, refuses_another_block_size_under_a_running_unit) {
  const model from = two_units();
  model to = from;
  to.units[0].block_size = 4096;
  EXPECT_EQ(plan_between(from, to).refused.at(0).key, "unit.a.block_size");
  to.stores[0].type = "file";
  EXPECT_TRUE(plan_between(from, to).refused.empty()) << "a unit that goes over to another store may have another";
}

TEST(plan, refuses_what_needs_a_restart_or_loses_data) {
  const model from = two_units();
  model to = from;
  to.gateway.reactor_count = 4;
  to.stores[0].settings.set("size", std::uint64_t{512});
  const plan p = plan_between(from, to);
  ASSERT_EQ(p.refused.size(), 2u);
  EXPECT_EQ(p.refused[0].key, "gateway.reactors");
  EXPECT_EQ(p.refused[1].key, "store.a.size");
}

}  // namespace

}  // namespace sluice::config
