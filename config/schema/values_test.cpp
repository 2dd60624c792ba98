#include "config/schema/values.hpp"

#include <gtest/gtest.h>

#include "config/schema/model.hpp"

namespace sluice::config {

namespace {

values some(std::initializer_list<const char*> names) {
  values out;
  for (const char* name : names) out.set(name, std::string(name) + "'s");
  return out;
}

TEST(values, are_the_same_in_whatever_order_they_were_set) {
  EXPECT_EQ(some({"b", "a", "c"}), some({"c", "b", "a"}));
  EXPECT_EQ(some({"b", "a", "c"}).names(), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_NE(some({"a"}), some({"a", "b"}));
  EXPECT_NE(some({"a"}), some({"b"}));
}

TEST(values, the_last_one_set_counts) {
  values v = some({"a", "b"});
  v.set("a", std::uint64_t{7}, {3, 4});
  EXPECT_EQ(v.number("a", 0), 7U);
  EXPECT_EQ(v.text("a"), nullptr);
  EXPECT_EQ(v.where("a").line, 3U);
  EXPECT_EQ(v.names().size(), 2U);
  v.erase("a");
  v.erase("nothing");
  EXPECT_FALSE(v.has("a"));
  EXPECT_EQ(v.text_or("b", ""), "b's");
}

TEST(values, differ_where_one_of_the_two_says_otherwise) {
  values a = some({"same", "other", "mine"}), b = some({"same", "other", "yours"});
  b.set("other", true);
  EXPECT_EQ(a.differing(b), (std::vector<std::string>{"mine", "other", "yours"}));
  EXPECT_TRUE(a.differing(a).empty());
}

/// In whatever order, and of lists that are sorted or not.
TEST(by_name, finds_what_is_there_and_nothing_else) {
  for (const bool sorted : {true, false}) {
    std::vector<store_config> all(5);
    for (std::size_t i = 0; i < all.size(); ++i) all[i].name = std::string(1, static_cast<char>('b' + 2 * i));
    if (!sorted) std::swap(all[0], all[3]);
    const by_name<store_config> names(all);
    for (const char* order : {"bdfhj", "jhfdb", "abcdefghijkl", "bbjjaadd", "lkjihgfedcba"})
      for (const char name : std::string(order)) {
        const store_config* found = names.find(std::string(1, name));
        EXPECT_EQ(found, find_named(all, std::string(1, name))) << name << sorted;
      }
  }
  const std::vector<store_config> none;
  EXPECT_EQ(by_name<store_config>(none).find("a"), nullptr);
}

}  // namespace

}  // namespace sluice::config
