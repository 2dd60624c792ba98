#include "tiers/journal/log_reader.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "actors/reactor/simulated.hpp"
#include "actors/wire/crc.hpp"

/// Logs made by hand: where they end, and when that is not to be believed.
namespace sluice::journal {
namespace {

constexpr std::uint32_t short_record_blocks = 4;
constexpr slot slots = 8 * short_record_blocks;

class log_reader_test : public testing::Test {
 protected:
  log_reader_test() {
    handle_ = *loop_->open_file("/flash", {.create = true});
    EXPECT_TRUE(loop_->resize_file(handle_, (superblock_copies + slots) * block_bytes));
    super_.id = 77;
    super_.journal_bytes = (superblock_copies + slots) * block_bytes;
    super_.record_blocks = short_record_blocks;
    super_.tail_sequence = 5;
    super_.tail_life = 1;
  }
  ~log_reader_test() override { loop_->close(handle_); }

  struct how {
    std::uint64_t acknowledged = 0;
    bool torn = false;
    std::uint32_t data = 1;
    std::uint64_t id = 77;
  };
  void put(slot at, std::uint64_t sequence, std::uint64_t life, std::uint64_t life_before, how of) {
    record_header header{of.id, sequence, life, life_before, of.acknowledged, {}};
    std::vector<std::uint8_t> octets((of.data + 1) * block_bytes, static_cast<std::uint8_t>(sequence));
    for (std::uint32_t i = 0; i < of.data; ++i)
      header.entries.push_back(
          {sequence * 10 + i, kind::data, wire::crc32c({octets.data() + (i + 1) * block_bytes, block_bytes})});
    encode(header, {octets.data(), block_bytes});
    if (of.torn) octets[of.data * block_bytes + 600] ^= 1;
    EXPECT_TRUE(loop_->write_now(handle_, octets, offset_of(at)));
  }
  found_log walk() {
    auto found = log_reader(*loop_, handle_).walk(super_);
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found ? *found : found_log();
  }

  reactor::sim_world world_{1};
  std::unique_ptr<reactor::loop> loop_ = world_.make_loop(0);
  reactor::handle handle_ = reactor::no_handle;
  superblock super_;
};

TEST_F(log_reader_test, follows_records_to_the_last_one_that_is_whole) {
  put(0, 5, 2, 1, {});
  put(2, 6, 2, 2, {.acknowledged = 5, .data = 3});
  put(6, 7, 2, 2, {.acknowledged = 5, .torn = true});
  put(8, 8, 2, 2, {.acknowledged = 6});
  const found_log found = walk();
  ASSERT_EQ(found.records.size(), 2U);
  EXPECT_EQ(found.records[1].sequence, 6U);
  EXPECT_EQ(found.entries.size(), 4U);
  EXPECT_EQ(found.head, 6U);
  EXPECT_EQ(found.next_sequence, 7U);
  EXPECT_EQ(found.last_life, 2U);
  EXPECT_EQ(found.damaged_from, 0U);
}

TEST_F(log_reader_test, takes_no_record_of_an_earlier_life_for_the_next_one) {
  put(0, 5, 3, 1, {});
  put(2, 6, 2, 2, {.acknowledged = 4});  // followed the fifth of the life before, which was torn when the power went
  const found_log found = walk();
  EXPECT_EQ(found.records.size(), 1U);
  EXPECT_EQ(found.damaged_from, 0U);
}

TEST_F(log_reader_test, takes_no_record_of_another_journal) {
  put(0, 5, 2, 1, {.id = 78});
  EXPECT_TRUE(walk().records.empty());
}

TEST_F(log_reader_test, sees_that_acknowledged_records_are_missing) {
  put(0, 5, 2, 1, {});
  put(4, 7, 2, 2, {.acknowledged = 6});  // the sixth is gone
  const found_log found = walk();
  EXPECT_EQ(found.damaged_from, 6U);
  EXPECT_EQ(found.stray_headers, std::vector<slot>{4});
  ASSERT_TRUE(log_reader(*loop_, handle_).wipe(found.stray_headers));
  EXPECT_EQ(walk().damaged_from, 0U);
}

TEST_F(log_reader_test, keeps_an_acknowledged_record_whose_block_is_wrong) {
  put(0, 5, 2, 1, {.torn = true});
  put(2, 6, 2, 2, {.acknowledged = 5});
  EXPECT_EQ(walk().records.size(), 2U) << "what is wrong with it is found out when it is read";
}

TEST_F(log_reader_test, goes_on_at_the_start_where_the_longest_record_would_not_fit) {
  super_.tail = slots - 5;
  put(slots - 5, 5, 2, 1, {});
  put(0, 6, 2, 2, {});
  const found_log found = walk();
  ASSERT_EQ(found.records.size(), 2U);
  EXPECT_EQ(found.records[1].position, slots);
}

TEST_F(log_reader_test, does_not_take_what_it_cannot_read_for_the_end) {
  put(0, 5, 2, 1, {});
  put(2, 6, 2, 2, {});
  world_.medium_error("/flash", offset_of(2), 512);
  const auto refused = log_reader(*loop_, handle_).walk(super_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::io);
}

}  // namespace
}  // namespace sluice::journal
