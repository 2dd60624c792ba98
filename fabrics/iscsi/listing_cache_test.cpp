#include "fabrics/iscsi/listing_cache.hpp"

#include <gtest/gtest.h>

namespace sluice::iscsi {
namespace {

struct asked {
  listing_cache cache;
  std::shared_ptr<const portal_table> table = std::make_shared<portal_table>();
  std::uint64_t epoch = 1;
  vantage from{1, {"192.0.2.1", 3260}, {"192.0.2.9", 50000}};
  unsigned made = 0;
  std::string content = "TargetName=iqn.a";

  listing_cache::text ask(const std::string& initiator, const std::string& name = "") {
    return cache.find(table, epoch, from, initiator, name, [this] {
      ++made;
      return content;
    });
  }
};

TEST(listing_cache, answers_a_question_once_from_each_place) {
  asked a;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*a.ask("iqn.host"), a.content);
  EXPECT_EQ(a.made, 1u);
  a.from.peer = {"192.0.2.10", 50001};  // another host, who is shown the same
  a.ask("iqn.host");
  EXPECT_EQ(a.made, 1u);
  a.from.peer = {"127.0.0.1", 50001};
  a.ask("iqn.host");
  a.from.local = {"192.0.2.2", 3260};
  a.ask("iqn.host");
  a.from.portal = 2;
  a.ask("iqn.host");
  a.ask("iqn.host", "iqn.a");
  EXPECT_EQ(a.made, 5u);
}

TEST(listing_cache, forgets_what_was_published_before) {
  asked a;
  a.ask("iqn.host");
  ++a.epoch;
  a.content = "";
  EXPECT_EQ(*a.ask("iqn.host"), "");
  a.table = std::make_shared<portal_table>();
  a.content = "TargetName=iqn.b";
  EXPECT_EQ(*a.ask("iqn.host"), a.content);
}

TEST(listing_cache, names_are_free_and_their_answers_one_text) {
  asked a;
  const auto first = a.ask("iqn.0");
  for (std::size_t i = 1; i < listing_cache::most; ++i) EXPECT_EQ(a.ask("iqn." + std::to_string(i)), first);
  for (std::size_t i = 0; i < 10 * listing_cache::most; ++i) a.ask("iqn.other." + std::to_string(i));
  EXPECT_EQ(a.made, 11 * listing_cache::most) << "it keeps no more than it may";
}

}  // namespace
}  // namespace sluice::iscsi
