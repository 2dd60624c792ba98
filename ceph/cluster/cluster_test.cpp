#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "ceph/cluster/connections.hpp"

namespace sluice::cluster {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(helper, does_jobs_in_order_and_the_last_ones_after_it_was_dropped) {
  std::vector<int> done;
  {
    helper offload;
    for (int i = 0; i < 100; ++i) offload.run([&done, i] { done.push_back(i); });
  }
  ASSERT_TRUE(helper::wait_until_none_is_busy(5s));
  ASSERT_EQ(done.size(), 100U);
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
}

TEST(helper, gives_up_on_a_call_that_takes_too_long_and_hands_its_result_to_somebody_else) {
  std::atomic<bool> go_on = false;
  std::atomic<int> late = 0;
  {
    helper offload;
    EXPECT_EQ(offload.call_within(
                  5s, [] { return 7; }, [](int) {}),
              7);
    const auto stuck = [&go_on] {
      while (!go_on) std::this_thread::sleep_for(1ms);
      return 8;
    };
    EXPECT_EQ(offload.call_within(10ms, stuck, [&late](int value) { late = value; }), std::nullopt);
  }
  EXPECT_FALSE(helper::wait_until_none_is_busy(10ms));
  EXPECT_EQ(late, 0);
  go_on = true;
  ASSERT_TRUE(helper::wait_until_none_is_busy(5s));
  EXPECT_EQ(late, 8);
}

TEST(helper, nobody_waits_for_one_that_was_abandoned) {
  std::atomic<bool> go_on = false;
  std::atomic<int> done = 0;
  {
    helper stuck, other;
    stuck.run([&] {
      for (int i = 0; i < 30'000 && !go_on; ++i) std::this_thread::sleep_for(1ms);
      ++done;
    });
    stuck.run([&] { ++done; });
    EXPECT_FALSE(helper::wait_until_none_is_busy(10ms));
    stuck.abandon();
    EXPECT_TRUE(helper::wait_until_none_is_busy(5s));
    other.run([&] { std::this_thread::sleep_for(20ms), ++done; });
    EXPECT_TRUE(helper::wait_until_none_is_busy(5s));
    EXPECT_EQ(done, 1);
  }
  EXPECT_TRUE(helper::wait_until_none_is_busy(5s));
  go_on = true;
  for (int i = 0; i < 5000 && done != 3; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(done, 3) << "its jobs still run, should the library ever let them";
}

TEST(helper, whoever_waits_for_it_waits_for_what_the_last_job_held) {
  // As with a connection: the job that used it last, drops it, on the thread of the helper which is a part of it.
  struct owner {
    helper offload;
    std::atomic<bool>& gone;
    ~owner() {
      std::this_thread::sleep_for(50ms);
      offload.run([&gone = gone] { gone = true; });
    }
  };
  std::atomic<bool> gone = false;
  auto last = std::shared_ptr<owner>(new owner{{}, gone});
  helper& offload = last->offload;
  EXPECT_EQ(offload.call_within(
                5s, [kept = std::move(last)] { return 7; }, [](int) {}),
            7);
  ASSERT_TRUE(helper::wait_until_none_is_busy(5s));
  EXPECT_TRUE(gone);
}

TEST(pulse, beats_until_it_is_told_not_to) {
  pulse p(1ms);
  std::atomic<int> beats = 0;
  p.add(&beats, [&] { ++beats; });
  while (beats < 3) std::this_thread::sleep_for(1ms);
  p.remove(&beats);
  const int then = beats;
  std::this_thread::sleep_for(20ms);
  EXPECT_EQ(beats, then);
}

TEST(budget, is_never_exceeded_and_wakes_one_that_waits_for_each_share_that_comes_back) {
  budget share(4, 1000);
  EXPECT_TRUE(share.take(2, 600));
  EXPECT_FALSE(share.take(1, 500));
  EXPECT_FALSE(share.take(3, 100));
  int woken = 0;
  share.wait(&woken, [&] { ++woken; });
  share.wait(&woken, [&] { ++woken; });
  share.give_back(2, 600);
  EXPECT_EQ(woken, 1);
  EXPECT_TRUE(share.take(100, 100000));  // more than there is: all of it, alone
  EXPECT_FALSE(share.take(1, 1));
  share.wait(&woken, [&] { ++woken; });
  share.leave(&woken);
  share.give_back(100, 100000);
  EXPECT_EQ(woken, 1);
  EXPECT_TRUE(share.take(4, 1000));
}

TEST(connection, that_cannot_be_made_says_why) {
  const auto absent = connection::open({"/nonexistent/ceph.conf", "sluice", {}});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, errc::not_found);
  EXPECT_THAT(absent.error().message, HasSubstr("cannot read /nonexistent/ceph.conf"));
}

}  // namespace
}  // namespace sluice::cluster
