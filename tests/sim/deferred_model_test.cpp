#include "tests/sim/deferred_model.hpp"

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

class deferred : public ::testing::Test {
 protected:
  void write(unsigned host = 0) {
    const std::uint64_t begun = judge_.tick();
    model_.acknowledged(host, begun, judge_.tick(), true);
  }
  void flush(store::status how = store::status::good) { log_.ends(log_.begins(), how, now_ns_); }
  void fail() { flush(store::status::medium_error); }
  bool may_tell(const deferred_model::hearing& by, unsigned host = 0) {
    return model_.told(host, by, judge_.tick()).empty();
  }
  deferred_model::hearing begin_command(bool may_be_late = false) {
    return {judge_.tick(), now_ns_, false, may_be_late};
  }
  deferred_model::hearing synchronize() { return {judge_.tick(), now_ns_, true}; }
  /// Of the command that begins now.
  bool may_tell() {
    now_ns_ += ns_per_s;
    return may_tell(begin_command());
  }
  bool must_tell(unsigned host = 0) {
    now_ns_ += ns_per_s;
    return model_.must_have_told(host, now_ns_);
  }

  static constexpr std::uint64_t ns_per_s = 1'000'000'000;
  judge judge_;
  flush_log log_{judge_};
  deferred_model model_{log_};
  std::uint64_t now_ns_ = ns_per_s;
};

TEST_F(deferred, who_wrote_hears_once_and_nobody_else) {
  write();
  fail();
  EXPECT_TRUE(must_tell());
  EXPECT_FALSE(must_tell(1));
  EXPECT_FALSE(may_tell(begin_command(), 1));
  EXPECT_TRUE(may_tell());
  EXPECT_FALSE(must_tell());
  EXPECT_FALSE(may_tell());
}

TEST_F(deferred, a_good_flush_covers_what_was_written_before_it) {
  write();
  flush();
  fail();
  EXPECT_FALSE(must_tell());
  EXPECT_FALSE(may_tell());
}

TEST_F(deferred, a_command_that_was_under_way_does_not_tell_the_same_failure_once_more) {
  write();
  const auto under_way = begin_command(true), flushes = synchronize();
  fail();
  EXPECT_TRUE(may_tell(flushes));
  EXPECT_FALSE(may_tell(under_way));
}

// Seed 6 of lossy tiers: the unit that gave its place told of its failure by a command that it still had, when the one
// in its place had told of another.
TEST_F(deferred, a_report_that_comes_after_a_later_one_tells_of_a_failure_of_its_own) {
  write();
  const auto under_way = begin_command(true), too = begin_command(true);
  fail();
  model_.unit_replaced(judge_.tick());
  write();
  const auto flushes = synchronize();
  fail();
  EXPECT_TRUE(may_tell(flushes));
  EXPECT_TRUE(may_tell(under_way));
  EXPECT_FALSE(may_tell(too)) << "there were two failures";
  EXPECT_FALSE(may_tell()) << "it began when all was told";
}

TEST_F(deferred, answers_keep_their_order_but_for_those_that_may_wait) {
  write();
  fail();
  write();
  fail();
  now_ns_ += ns_per_s;
  const auto waits = begin_command(true), too = begin_command(true), in_order = begin_command();
  EXPECT_TRUE(may_tell(begin_command()));
  EXPECT_FALSE(may_tell(in_order));
  EXPECT_TRUE(may_tell(waits));
  EXPECT_FALSE(may_tell(too));
}

TEST_F(deferred, a_flush_that_was_good_and_tells_of_an_earlier_failure_tells_of_none_that_came_after_it) {
  write();
  fail();
  const auto flushes = synchronize();
  flush();
  write();
  fail();  // while the answer is on its way
  EXPECT_TRUE(may_tell(flushes));
  EXPECT_TRUE(may_tell()) << "of the second";
  EXPECT_FALSE(may_tell());
}

}  // namespace
}  // namespace sluice::sim
