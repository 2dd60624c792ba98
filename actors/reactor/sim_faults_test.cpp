#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "actors/reactor/simulated.hpp"

/// What the simulated disk does wrong when it is told to.
namespace sluice::reactor {
namespace {

class last_result final : public operation {
 public:
  void on_complete(std::int64_t result) noexcept override { value = result; }
  std::int64_t value = 0;
};

class sim_faults_test : public testing::Test {
 protected:
  sim_faults_test() : file_(*loop_->open_file("/disk", {.create = true})) {}

  std::int64_t write(std::uint8_t octet, std::uint64_t offset, std::uint64_t size) {
    std::vector<std::uint8_t> octets(size, octet);
    const iovec part{octets.data(), size};
    return run([&](operation& op) { loop_->write(op, file_, &part, 1, offset, true); });
  }
  std::int64_t read(std::vector<std::uint8_t>& into, std::uint64_t offset) {
    const iovec part{into.data(), into.size()};
    return run([&](operation& op) { loop_->read(op, file_, &part, 1, offset); });
  }
  template <class Start>
  std::int64_t run(Start start) {
    last_result op;
    start(op);
    EXPECT_TRUE(world_.run_until([&] { return !op.in_flight(); }, world_.now_ns() + ns_per_s));
    return op.value;
  }

  sim_world world_{1};
  std::unique_ptr<loop> loop_ = world_.make_loop(0);
  handle file_;
  std::vector<std::uint8_t> into_ = std::vector<std::uint8_t>(4096);
};

TEST_F(sim_faults_test, a_file_that_is_gone_fails_all_that_is_asked_of_it_and_comes_back_as_it_was) {
  EXPECT_EQ(write(7, 0, 4096), 4096);
  world_.faults("/disk").gone = true;
  EXPECT_EQ(write(8, 0, 4096), -ENODEV);
  EXPECT_EQ(read(into_, 0), -ENODEV);
  EXPECT_EQ(run([&](operation& op) { loop_->sync(op, file_); }), -ENODEV);
  EXPECT_FALSE(loop_->open_file("/disk", {}));
  EXPECT_FALSE(loop_->info(file_));
  EXPECT_FALSE(loop_->read_now(file_, into_, 0));
  EXPECT_FALSE(loop_->write_now(file_, into_, 0));
  EXPECT_FALSE(loop_->sync_now(file_));
  EXPECT_FALSE(loop_->resize_file(file_, 0));
  world_.faults("/disk").gone = false;
  EXPECT_EQ(read(into_, 0), 4096);
  EXPECT_EQ(into_, std::vector<std::uint8_t>(4096, 7));
}

TEST_F(sim_faults_test, a_file_that_was_removed_is_made_anew) {
  EXPECT_EQ(write(7, 0, 4096), 4096);
  world_.remove_file("/disk");
  EXPECT_FALSE(loop_->open_file("/disk", {}));
  const auto fresh = loop_->open_file("/disk", {.create = true});
  ASSERT_TRUE(fresh);
  EXPECT_EQ(loop_->info(*fresh)->size_bytes, 0U);
  EXPECT_EQ(read(into_, 0), 4096) << "who has it open keeps it";
}

TEST_F(sim_faults_test, short_requests_do_a_part_from_the_front) {
  world_.faults("/disk").short_write = 0.5;
  std::set<bool> whole;
  for (int i = 0; i < 30; ++i) {
    const auto octet = static_cast<std::uint8_t>(i + 1);
    const std::int64_t wrote = write(octet, 0, 4096);
    ASSERT_GE(wrote, 0);
    whole.insert(wrote == 4096);
    if (read(into_, 0) < wrote) continue;
    for (std::int64_t at = 0; at < 4096 && at < static_cast<std::int64_t>(loop_->info(file_)->size_bytes); ++at)
      ASSERT_EQ(into_[static_cast<std::size_t>(at)] == octet, at < wrote) << at;
  }
  EXPECT_EQ(whole.size(), 2U);
  world_.faults("/disk") = {.short_read = 1};
  EXPECT_LT(read(into_, 0), 4096);
}

TEST_F(sim_faults_test, a_misdirected_read_gets_another_block) {
  for (std::uint8_t block = 0; block < 16; ++block) EXPECT_EQ(write(block, block * 4096U, 4096), 4096);
  world_.faults("/disk").misdirected_read = 1;
  std::set<std::uint8_t> seen;
  for (int i = 0; i < 30; ++i) {
    EXPECT_EQ(read(into_, 4096), 4096);
    EXPECT_EQ(into_, std::vector<std::uint8_t>(4096, into_[0]));
    seen.insert(into_[0]);
  }
  EXPECT_GT(seen.size(), 5U);
}

TEST_F(sim_faults_test, what_a_failed_sync_lost_is_seen_until_the_power_is_lost_and_no_later_sync_saves_it) {
  constexpr std::uint64_t sectors = 32, size = 512 * sectors;
  EXPECT_EQ(write(1, 0, size), static_cast<std::int64_t>(size));
  std::vector<std::uint8_t> octets(size, 2);
  const iovec part{octets.data(), size};
  EXPECT_EQ(run([&](operation& op) { loop_->write(op, file_, &part, 1, 0, false); }), static_cast<std::int64_t>(size));
  world_.faults("/disk").failed_sync = 1;
  EXPECT_EQ(run([&](operation& op) { loop_->sync(op, file_); }), -EIO);
  world_.faults("/disk").failed_sync = 0;
  EXPECT_EQ(run([&](operation& op) { loop_->sync(op, file_); }), 0);
  into_.resize(size);
  EXPECT_EQ(read(into_, 0), static_cast<std::int64_t>(size));
  EXPECT_EQ(into_, octets);
  world_.crash(0);
  loop_ = world_.make_loop(0);
  file_ = *loop_->open_file("/disk", {});
  EXPECT_EQ(read(into_, 0), static_cast<std::int64_t>(size));
  EXPECT_EQ(std::set<std::uint8_t>(into_.begin(), into_.end()), (std::set<std::uint8_t>{1, 2}));
}

TEST_F(sim_faults_test, a_device_keeps_its_size) {
  world_.make_device("/device", 8192);
  file_ = *loop_->open_file("/device", {});
  EXPECT_TRUE(loop_->info(file_)->is_block_device);
  EXPECT_FALSE(loop_->resize_file(file_, 4096));
  EXPECT_EQ(write(7, 4096, 4096), 4096);
  EXPECT_EQ(write(7, 4096, 8192), -ENOSPC);
  world_.make_device("/device", 4096);
  world_.make_device("/device", 8192);
  EXPECT_EQ(loop_->info(file_)->size_bytes, 8192U);
  EXPECT_EQ(read(into_, 4096), 4096);
  EXPECT_EQ(into_, std::vector<std::uint8_t>(4096, 0));
}

}  // namespace
}  // namespace sluice::reactor
