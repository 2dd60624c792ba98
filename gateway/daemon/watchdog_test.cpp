#include "gateway/daemon/watchdog.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace sluice::daemon {
namespace {

class watchdog_test : public testing::Test {
 protected:
  void SetUp() override { loop_ = *reactor::make_loop({.buffer_bytes = 4 * mib}); }
  void TearDown() override { turn(); }
  void turn() {
    loop_->post([this] { loop_->stop(); });
    loop_->run();
  }
  std::unique_ptr<reactor::loop> loop_;
};

TEST_F(watchdog_test, tells_a_loop_that_turns_from_one_that_stands_still) {
  watchdog watch({loop_.get()});
  EXPECT_TRUE(watch.look()) << "nothing was asked before";
  EXPECT_FALSE(watch.look()) << "the loop has not turned";
  EXPECT_FALSE(watch.look());
  turn();
  EXPECT_TRUE(watch.look()) << "it goes on";
  turn();
  EXPECT_TRUE(watch.look());
}

TEST_F(watchdog_test, may_go_before_the_loop_answers) {
  {
    watchdog watch({loop_.get()});
    watch.look();
  }
  turn();
}

TEST(watchdog_period, is_half_of_what_the_service_manager_allows) {
  ::unsetenv("WATCHDOG_PID");
  ::unsetenv("WATCHDOG_USEC");
  const std::uint64_t unsupervised = watchdog_period_ns();
  EXPECT_EQ(unsupervised, 10 * ns_per_s);
  ::setenv("WATCHDOG_USEC", "3000000", 1);
  EXPECT_EQ(watchdog_period_ns(), 1'500 * ns_per_ms);
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_EQ(watchdog_period_ns(), 1'500 * ns_per_ms);
  ::setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(watchdog_period_ns(), unsupervised) << "meant for another process";
  ::unsetenv("WATCHDOG_PID");
  ::setenv("WATCHDOG_USEC", "soon", 1);
  EXPECT_EQ(watchdog_period_ns(), unsupervised);
  ::unsetenv("WATCHDOG_USEC");
}

}  // namespace
}  // namespace sluice::daemon
