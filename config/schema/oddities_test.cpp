#include "config/schema/oddities.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/schema/model.hpp"
#include "config/schema/test_types.hpp"

namespace sluice::config {
namespace {

target_config target(const std::string& name, lun_map luns) {
  target_config t;
  t.name = name;
  t.luns = std::move(luns);
  return t;
}

std::vector<std::string> told_of(const target_config& t) {
  model m;
  m.targets = {t};
  std::vector<std::string> told;
  for (const diagnostic& each : oddities_of(m, types_for_tests())) told.push_back(each.key + " " + each.problem);
  return told;
}

TEST(oddities, a_list_of_luns_without_lun_0) {
  EXPECT_TRUE(told_of(target("good", {{0, "a", {}}, {5, "b", {}}})).empty());
  EXPECT_EQ(told_of(target("odd", {{1, "a", {}}})),
            std::vector<std::string>{"target.odd.luns has no LUN 0, where some initiators look for the others"});
  EXPECT_EQ(told_of(target("none", {})),
            std::vector<std::string>{"target.none.luns is empty: initiators find no disk"});
}

TEST(oddities, of_lists_that_initiators_have_for_themselves) {
  target_config own = target("own", {});
  access_config good, odd;
  good.initiator = "host1";
  good.luns = lun_map{{0, "a", {}}};
  odd.initiator = "host2";
  odd.luns = lun_map{{7, "b", {}}};
  own.access = {good, odd};
  EXPECT_EQ(told_of(own), std::vector<std::string>{"target.own.access.host2.luns has no LUN 0, where some initiators "
                                                   "look for the others"})
      << "nobody sees the target's own list";
  own.access[1].luns.reset();
  EXPECT_EQ(told_of(own), std::vector<std::string>{"target.own.luns is empty: initiators find no disk"});
}

TEST(oddities, what_a_fabric_says_is_among_them) {
  model m;
  m.targets = {target("t", {{0, "a", {}}})};
  known_types known = types_for_tests();
  known.fabrics[0].warn = [](const model&, diagnostics& warnings) { warnings.push_back({{}, "k", "is odd", {}}); };
  ASSERT_EQ(oddities_of(m, known).size(), 1u);
  EXPECT_EQ(oddities_of(m, known)[0].key, "k");
}

}  // namespace
}  // namespace sluice::config
