#include <gtest/gtest.h>

#include <algorithm>

#include "config/schema/read.hpp"
#include "config/schema/test_types.hpp"

namespace sluice::config {
namespace {

store_config over(const std::string& name, const std::string& below) {
  store_config s;
  s.name = name;
  s.type = below.empty() ? "ram" : "cache";
  s.over = below;
  return s;
}

/// What is said of cycles.
std::vector<std::string> cycles_of(model m) {
  std::sort(m.stores.begin(), m.stores.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  diagnostics wrong;
  validate(m, types_for_tests(), wrong);
  std::vector<std::string> told;
  for (const diagnostic& d : wrong)
    if (d.problem.starts_with("makes a cycle")) told.push_back(d.key + " " + d.problem);
  return told;
}

TEST(validate, tells_each_cycle_once_from_its_first_name) {
  model m;
  m.stores = {over("d", "b"),       over("b", "c"),      over("c", "a"),  over("a", "b"),
              over("self", "self"), over("top", "good"), over("good", "")};
  EXPECT_EQ(cycles_of(m), (std::vector<std::string>{"store.a.over makes a cycle: a over b over c over a",
                                                    "store.self.over makes a cycle: self over self"}));
}

std::vector<diagnostic> said_of(const model& m) {
  diagnostics wrong;
  validate(m, types_for_tests(), wrong);
  return wrong;
}

/// Thousands of names that are nowhere are told, in text that grows with their number, with guesses for the first.
TEST(validate, names_that_are_nowhere_cost_what_they_are) {
  constexpr int stores = 4000, luns = 4000;
  model m;
  for (int i = 0; i < stores; ++i) {
    const std::string name = "s" + std::to_string(100000 + i);
    m.stores.push_back(over(name, name + "x"));
  }
  target_config target;
  target.name = "t";
  for (int i = 0; i < luns; ++i) target.luns.push_back({static_cast<std::uint16_t>(i), "u" + std::to_string(i), {}});
  m.targets.push_back(target);
  const auto wrong = said_of(m);
  ASSERT_GE(wrong.size(), std::size_t{stores + luns});
  EXPECT_LT(format(wrong, "f.toml").size(), wrong.size() * 300);
  EXPECT_EQ(wrong[0].problem, "there is no store \"s100000x\", did you mean \"s100000\"?");
  EXPECT_EQ(wrong[1000].problem, "there is no store \"s101000x\"");
}

TEST(validate, a_tower_has_an_end) {
  model m;
  for (int i = 10; i < 43; ++i)
    m.stores.push_back(over("s" + std::to_string(i), i == 10 ? "" : "s" + std::to_string(i - 1)));
  const auto problems = [&] {
    std::vector<std::string> told;
    for (const diagnostic& d : said_of(m))
      if (d.problem.find("tower") != std::string::npos) told.push_back(d.key + " " + d.problem);
    return told;
  };
  EXPECT_EQ(problems(), std::vector<std::string>{"store.s42.over makes a tower of more than 32 stores"});
  m.stores.pop_back();
  EXPECT_TRUE(problems().empty());
}

/// Looks at each store a few times, however many lie over each other: else this takes hours.
TEST(validate, a_tower_of_stores_costs_what_its_stores_cost) {
  constexpr int stores = 20000;
  const auto name = [](int i) { return "s" + std::to_string(100000 + i); };
  model m;
  for (int i = 0; i < stores; ++i) m.stores.push_back(over(name(i), i == 0 ? "" : name(i - 1)));
  EXPECT_TRUE(cycles_of(m).empty());
  m.stores[0].over = name(stores - 1);
  EXPECT_EQ(cycles_of(m).size(), 1u);
}

}  // namespace
}  // namespace sluice::config
