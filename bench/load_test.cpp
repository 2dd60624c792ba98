#include "bench/load.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "bench/ceiling.hpp"

namespace sluice::bench {
namespace {

/// The null target on a thread of its own, and a load that fits it.
class load_against_ceiling : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = ceiling::open({.port = 0, .size_bytes = 8 * mib});
    ASSERT_TRUE(opened) << opened.error().message;
    target_ = std::move(*opened);
    server_ = std::thread([this] { target_->run(); });
    settings_.target.port = target_->port();
    settings_.target.name = ceiling_name;
    settings_.seconds = 0;
    settings_.warm_up_seconds = 0;
    settings_.count = 2000;
  }
  void TearDown() override {
    if (!target_) return;
    target_->stop();
    server_.join();
  }

  std::unique_ptr<ceiling> target_;
  std::thread server_;
  load_settings settings_;
};

TEST_F(load_against_ceiling, counts_every_command_once) {
  settings_.sessions = 3;
  settings_.write_percent = 30;
  auto report = run_load(settings_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->first_error, "");
  EXPECT_EQ(report->errors, 0u);
  EXPECT_EQ(report->reads + report->writes, 2000u);
  EXPECT_GT(report->writes, 0u);
  EXPECT_EQ(report->latency_ns.count(), 2000u);
  EXPECT_GT(report->client.run_ns, 0u);
}

TEST_F(load_against_ceiling, verifies_what_it_wrote) {
  settings_.verify = true;
  settings_.write_percent = 60;
  for (std::uint32_t extent : {512u, 4096u, 131072u}) {
    settings_.extent_bytes = extent;
    settings_.depth = 4;
    auto report = run_load(settings_);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->first_error, "");
    EXPECT_EQ(report->mismatches, 0u);
    EXPECT_GT(report->read_back, 0u);
  }
}

TEST_F(load_against_ceiling, sees_another_writer) {
  // Two verifying loads over one region must catch each other's data: the check is not vacuous.
  settings_.verify = true;
  settings_.write_percent = 50;
  settings_.region_bytes = 1 * mib;
  settings_.count = 20000;
  load_settings other = settings_;
  other.seed = 2;
  std::uint64_t seen_by_other = 0;
  std::thread second([&] {
    if (auto report = run_load(other)) seen_by_other = report->mismatches;
  });
  auto report = run_load(settings_);
  second.join();
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_GT(report->mismatches + seen_by_other, 0u);
}

TEST_F(load_against_ceiling, moves_large_extents_and_an_open_loop) {
  settings_.extent_bytes = 262144;
  settings_.depth = 8;
  settings_.random = false;
  settings_.count = 200;
  settings_.rate = 2000;
  settings_.write_percent = 50;
  auto report = run_load(settings_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->first_error, "");
  EXPECT_EQ(report->reads + report->writes, 200u);
}

TEST_F(load_against_ceiling, ends_in_good_order_when_stopped) {
  std::atomic<bool> stop = false;
  settings_.count = 0;
  settings_.seconds = 60;
  settings_.write_percent = 50;
  settings_.verify = true;
  settings_.stop = &stop;
  auto report = result<load_report>(load_report{});
  // On a busy machine the first time may be over before anything was written.
  for (auto delay = std::chrono::milliseconds(100); report && report->writes == 0 && delay < std::chrono::seconds(10);
       delay *= 4) {
    stop = false;
    std::thread later([&stop, delay] {
      std::this_thread::sleep_for(delay);
      stop = true;
    });
    report = run_load(settings_);
    later.join();
  }
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_LT(report->seconds, 30);
  EXPECT_GT(report->writes, 0u);
  EXPECT_GT(report->read_back, 0u);  // what was written is verified all the same
  EXPECT_EQ(report->errors + report->mismatches, 0u) << report->first_error;
}

TEST(load, says_why_it_cannot_begin) {
  load_settings settings;
  settings.target.port = 1;
  settings.target.name = ceiling_name;
  auto report = run_load(settings);
  ASSERT_FALSE(report);
  EXPECT_NE(report.error().message.find("connect to 127.0.0.1:1"), std::string::npos) << report.error().message;
  settings.depth = 0;
  EXPECT_EQ(run_load(settings).error().code, errc::invalid_argument);
}

}  // namespace
}  // namespace sluice::bench
