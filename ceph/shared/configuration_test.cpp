#include <gtest/gtest.h>

#include "ceph/shared/rados_configuration.hpp"
#include "ceph/shared/rados_events.hpp"
#include "ceph/shared/test_cluster.hpp"

/// The object of the configuration, in a real cluster.
namespace sluice::shared {
namespace {

using state::configuration_proposal;

class configuration : public testing::Test {
 protected:
  void SetUp() override {
    if (test_cluster::conf().empty()) GTEST_SKIP() << "SLUICE_TEST_CEPH_CONF names no cluster";
    auto wanted = test_cluster::usual("one");
    wanted.name += testing::UnitTest::GetInstance()->current_test_info()->name();  // an object of its own
    auto joined = membership::join(connections_, wanted);
    ASSERT_TRUE(joined) << joined.error().message;
    members_ = *joined;
    at_ = rados_configuration::open(members_).value();
  }

  configuration_proposal proposal(std::uint64_t id, std::uint64_t base) const { return {id, base, 17, "one", "test"}; }
  /// The next version, by whoever is alone.
  void make(std::uint64_t base, const std::string& text) {
    const auto next = proposal(1000 + base, base);
    ASSERT_TRUE(at_->propose(next, text));
    ASSERT_TRUE(at_->commit(next, text));
  }

  const std::shared_ptr<cluster::connections> connections_ = std::make_shared<cluster::connections>();
  std::shared_ptr<membership> members_;
  std::shared_ptr<rados_configuration> at_;
};

TEST_F(configuration, has_versions_and_keeps_the_last) {
  EXPECT_EQ(at_->look()->newest, 0U);
  EXPECT_TRUE(at_->history()->empty());
  constexpr std::uint64_t more = 3, count = state::shared_configuration::versions_kept + more;
  for (std::uint64_t base = 0; base < count; ++base) make(base, "text " + std::to_string(base + 1));
  const auto all = at_->history().value();
  ASSERT_EQ(all.size(), state::shared_configuration::versions_kept);
  EXPECT_EQ(all.front().number, more + 1);
  EXPECT_EQ(all.back().number, count);
  EXPECT_EQ(all.back().proposal, 1000 + count - 1);
  EXPECT_EQ(at_->text(count).value(), "text " + std::to_string(count));
  EXPECT_EQ(at_->text(more).error().code, errc::not_found);
}

TEST_F(configuration, takes_one_proposal_at_a_time) {
  const auto first = proposal(1, 0), second = proposal(2, 0);
  ASSERT_TRUE(at_->propose(first, "first"));
  EXPECT_EQ(at_->propose(second, "second").error().code, errc::busy);
  EXPECT_EQ(at_->commit(second, "second").error().code, errc::busy);
  EXPECT_EQ(at_->proposed_text(first).value(), "first");
  EXPECT_EQ(at_->proposed_text(second).error().code, errc::not_found);
  ASSERT_TRUE(at_->answer(first, "two", {1, true, "{}", ""}));
  EXPECT_EQ(at_->answer(second, "two", {2, true, "{}", ""}).error().code, errc::not_found);
  EXPECT_EQ(at_->answers(first)->size(), 1U);
  ASSERT_TRUE(at_->commit(first, "first"));
  EXPECT_EQ(at_->look()->proposal, 1U);
  EXPECT_TRUE(at_->answers(first)->empty());
  EXPECT_EQ(at_->propose(second, "second").error().code, errc::busy) << "it moved on";
}

TEST_F(configuration, is_not_made_of_what_was_withdrawn) {
  const auto one = proposal(1, 0);
  ASSERT_TRUE(at_->propose(one, "one"));
  ASSERT_TRUE(at_->withdraw(one));
  EXPECT_FALSE(at_->look()->proposed);
  EXPECT_EQ(at_->commit(one, "one").error().code, errc::busy);
  EXPECT_EQ(at_->look()->newest, 0U);
  EXPECT_TRUE(at_->withdraw(one)) << "nothing";
}

TEST_F(configuration, says_what_each_gateway_runs) {
  ASSERT_TRUE(at_->report("one", {3, ""}));
  ASSERT_TRUE(at_->report("two", {2, "store.x: cannot be opened"}));
  const auto shown = at_->look().value();
  EXPECT_EQ(shown.states.at("one").version, 3U);
  EXPECT_EQ(shown.states.at("two").problem, "store.x: cannot be opened");
}

TEST_F(configuration, has_the_events_of_each_gateway_beside_it) {
  std::vector<state::cluster_event> lines;
  for (unsigned i = 1; i <= 10; ++i) lines.push_back({"", 0, "T" + std::to_string(i), "what happened"});
  rados_events first(members_);
  EXPECT_TRUE(first.from("one", 1)->empty());
  ASSERT_TRUE(first.add(lines));
  const auto some = first.from("one", 9).value();
  ASSERT_EQ(some.size(), 2U);
  EXPECT_EQ(some.front(), (state::cluster_event{"one", 9, "T9", "what happened"}));
  rados_events next_life(members_);
  constexpr std::uint64_t rounds = 2 * state::cluster_events::events_kept / 10;
  for (std::uint64_t i = 0; i < rounds; ++i) ASSERT_TRUE(next_life.add(lines));
  const auto all = next_life.from("one", 1).value();
  ASSERT_EQ(all.size(), state::cluster_events::events_kept);
  EXPECT_EQ(all.back().number, 10 + 10 * rounds) << "numbers go on";
  EXPECT_TRUE(next_life.from("other", 1)->empty());
}

TEST_F(configuration, takes_a_text_of_a_mebibyte) {
  const std::string text(state::shared_configuration::max_text, '#');
  make(0, text);
  EXPECT_EQ(at_->text(1).value(), text);
}

}  // namespace
}  // namespace sluice::shared
