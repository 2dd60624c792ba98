#include "tiers/cache/flash/flash_format.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <array>
#include <random>

namespace sluice::cache::flash {
namespace {

using block = std::array<std::uint8_t, block_bytes>;

segment_header header_of(std::mt19937_64& random) {
  segment_header made{random(), random(), static_cast<std::uint32_t>(random()), {}};
  const std::size_t count = random() % (segment_entries_limit + 1);
  for (std::size_t i = 0; i < count; ++i)
    made.entries.push_back({random() % 8 == 0 ? nothing : random(), static_cast<std::uint32_t>(random())});
  return made;
}

TEST(flash_format, what_was_encoded_is_decoded) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    block to;
    const segment_header header = header_of(random);
    encode(header, to);
    RC_ASSERT(decode_header(to) == header);
    region_page page{random(), random(), {}};
    for (std::uint32_t i = 0; i < region_page_entries; ++i) page.void_up_to.push_back(random());
    encode(page, to);
    RC_ASSERT(decode_region_page(to) == page);
    const auto layout = lay_out(random(), (16 + random() % 100'000) * mib, random() % (100 * tib),
                                static_cast<std::uint32_t>(2 + random() % 255), std::uint64_t{1} << random() % 20);
    RC_ASSERT(layout.has_value());
    encode(*layout, to);
    RC_ASSERT(decode_superblock(to) == layout);
  }));
}

TEST(flash_format, one_flipped_bit_anywhere_is_seen) {
  std::mt19937_64 random(1);
  block header, page, super;
  encode(header_of(random), header);
  encode(region_page{1, 2, std::vector<std::uint64_t>(region_page_entries, 7)}, page);
  encode(*lay_out(1, 1 * gib, 1 * tib, 256), super);
  for (std::size_t bit = 0; bit < block_bytes * 8; bit += 1 + random() % 5) {
    for (block* each : {&header, &page, &super}) (*each)[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    ASSERT_FALSE(decode_header(header));
    ASSERT_FALSE(decode_region_page(page));
    ASSERT_FALSE(decode_superblock(super));
    for (block* each : {&header, &page, &super}) (*each)[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
  }
}

TEST(flash_format, parts_of_the_layout_do_not_overlap_and_fit) {
  for (const std::uint64_t store : {1 * mib, 1 * gib, 100 * gib, 256 * tib - 1 * mib})
    for (const std::uint64_t flash : {16 * mib, 1 * gib, 200 * gib}) {
      const auto layout = lay_out(1, flash, store, 256);
      ASSERT_TRUE(layout);
      EXPECT_GE(layout->first_segment_block(), 1U + layout->region_pages);
      EXPECT_LE((layout->first_segment_block() + layout->segments() * 256) * block_bytes, flash);
      EXPECT_GE(layout->regions() * layout->region_blocks * block_bytes, store);
      EXPECT_LE(layout->region_pages, region_pages_limit);
    }
  EXPECT_FALSE(lay_out(1, 2 * mib, 1 * gib, 256)) << "one segment is no log";
  EXPECT_FALSE(lay_out(1, 1 * gib, 1 * gib, 0));
  EXPECT_FALSE(lay_out(1, 1 * gib, 1 * gib, 257));
}

}  // namespace
}  // namespace sluice::cache::flash
