#include "tiers/journal/overlay_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "actors/wire/crc.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/journal/test_setup.hpp"
#include "tiers/store/contract_simulated.hpp"

/// Reads while slots are let go of and used anew under them.
namespace sluice::journal {
namespace {

using store::status;
using store::verb;
using store::contract::payload;
using store::contract::simulated_world;
using store::contract::test_request;
using testing::Each;

class overlay_reader_test : public testing::Test {
 protected:
  static constexpr std::uint64_t journal_bytes = (superblock_copies + 8 * min_record_blocks) * block_bytes;

  overlay_reader_test() {
    below_ = *file::open_store({.path = "/image", .size_bytes = 64 * kib}, world_.loop());
    channel_ = below_->attach(world_.loop());
    superblock super;
    super.id = 1;
    super.journal_bytes = journal_bytes;
    super.record_blocks = min_record_blocks;
    super.tail_sequence = 1;
    found_log empty;
    empty.next_sequence = 1;
    core_ = std::make_unique<journal_core>(options{}, *test_flash(world_.loop(), "/flash", journal_bytes), super, empty,
                                           2, 64 * kib);
    reader_ = std::make_unique<overlay_reader>(*core_, *channel_, world_.loop());
    test_request w(verb::write, 0, 64 * kib, payload(random_, std::vector<std::uint8_t>(64 * kib, 1)));
    w.on_done = [this] { world_.finish(); };
    world_.enter([&] { channel_->submit(w); });
  }

  /// The block's newest version lies there from now on.
  void put(block_number block, slot where, std::uint8_t octet) {
    const std::vector<std::uint8_t> octets(block_bytes, octet);
    EXPECT_TRUE(world_.loop().write_now(core_->flash.handle, octets, offset_of(where)));
    core_->index.insert(block, {where, kind::data, wire::crc32c(octets)});
  }
  /// Reads; `meanwhile` happens when the reads of flash are under way.
  std::vector<std::uint8_t> read(std::uint64_t offset, std::uint64_t length, const std::function<void()>& meanwhile,
                                 status expected = status::good) {
    test_request r(verb::read, offset, length, payload(random_, std::vector<std::uint8_t>(length, 0xee)));
    r.on_done = [this] { world_.finish(); };
    world_.enter([&] {
      r.submitting = true;
      reader_->read(r);
      r.submitting = false;
      meanwhile();
    });
    EXPECT_EQ(r.completions, 1);
    EXPECT_EQ(r.outcome, expected);
    return r.content();
  }

  simulated_world world_{1};
  std::mt19937_64 random_{1};
  std::shared_ptr<store::store> below_;
  std::unique_ptr<store::channel> channel_;
  std::unique_ptr<journal_core> core_;
  std::unique_ptr<overlay_reader> reader_;
};

TEST_F(overlay_reader_test, puts_dirty_blocks_between_clean_ones) {
  put(2, 5, 7);
  put(3, 6, 8);
  core_->index.insert(5, {9, kind::discard, 0});
  const auto octets = read(4096 + 512, 5 * 4096, [] {});
  const std::span<const std::uint8_t> all(octets);
  EXPECT_THAT(all.first(3584), Each(1));
  EXPECT_THAT(all.subspan(3584, 4096), Each(7));
  EXPECT_THAT(all.subspan(7680, 4096), Each(8));
  EXPECT_THAT(all.subspan(11776, 4096), Each(1));
  EXPECT_THAT(all.subspan(15872, 4096), Each(0));
  EXPECT_THAT(all.subspan(19968), Each(1));
}

TEST_F(overlay_reader_test, reads_nothing_but_zeroes) {
  core_->index.insert(1, {9, kind::zeroes, 0});
  EXPECT_THAT(read(4096, 4096, [] {}), Each(0));
}

TEST_F(overlay_reader_test, does_not_believe_a_slot_that_was_used_anew) {
  put(2, 5, 7);
  const auto octets = read(2 * 4096, 4096, [&] {
    core_->index.remove(2, 5);
    core_->index.free_removed();
    put(9, 5, 66);
  });
  EXPECT_THAT(octets, Each(1)) << "its block is below by now";
}

TEST_F(overlay_reader_test, takes_what_is_newer_when_the_older_slot_is_gone) {
  put(2, 5, 7);
  const auto octets = read(2 * 4096, 4096, [&] {
    put(2, 8, 9);
    core_->index.free_removed();
    put(9, 5, 66);
  });
  EXPECT_THAT(octets, Each(9));
}

TEST_F(overlay_reader_test, looks_the_index_up_before_it_reads_below) {
  const auto image = world_.loop().open_file("/image", {});
  ASSERT_TRUE(image);
  for (std::uint64_t moment_ns = 0; moment_ns < 4 * ns_per_ms; moment_ns += 50 * ns_per_us) {
    put(2, 5, 7);
    EXPECT_TRUE(world_.loop().write_now(*image, std::vector<std::uint8_t>(4096, 1), 2 * 4096));
    world_.sim().options().early_read = 1;
    // The block is brought below, and its slot used anew.
    const auto octets = read(2 * 4096, 4096, [&] {
      world_.sim().after(moment_ns, [&] {
        EXPECT_TRUE(world_.loop().write_now(*image, std::vector<std::uint8_t>(4096, 7), 2 * 4096));
        core_->index.remove(2, 5);
        core_->index.free_removed();
        put(9, 5, 66);
      });
    });
    EXPECT_EQ(octets, std::vector<std::uint8_t>(4096, 7)) << moment_ns;
    world_.sim().run_for(5 * ns_per_ms);
  }
  world_.loop().close(*image);
}

TEST_F(overlay_reader_test, does_not_take_a_block_that_moves_on_and_on_for_a_damaged_one) {
  put(2, 5, 7);
  const auto octets = read(2 * 4096, 4096, [&] {
    // Again and again, faster than it is read: a newer version elsewhere, and the slot of the older one used anew.
    for (std::uint64_t move = 0; move < 200; ++move)
      world_.sim().after(move * 20 * ns_per_us, [this, move] {
        put(2, static_cast<slot>((6 + move) % 32), static_cast<std::uint8_t>(move));
        core_->index.free_removed();
        put(9, static_cast<slot>((5 + move) % 32), 66);
      });
  });
  EXPECT_THAT(octets, Each(199));
}

TEST_F(overlay_reader_test, answers_a_block_that_is_wrong_or_lost_with_an_error) {
  put(2, 5, 7);
  const std::vector<std::uint8_t> spoilt(block_bytes, 8);
  EXPECT_TRUE(world_.loop().write_now(core_->flash.handle, spoilt, offset_of(5)));
  read(
      2 * 4096, 4096, [] {}, status::medium_error);
  core_->lose(4);
  read(
      4 * 4096, 4096, [] {}, status::medium_error);
  put(4, 6, 3);
  EXPECT_THAT(read(4 * 4096, 4096, [] {}), Each(3)) << "it was written anew";
}

}  // namespace
}  // namespace sluice::journal
