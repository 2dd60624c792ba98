#include "tiers/journal/journal_format.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <array>
#include <random>

namespace sluice::journal {
namespace {

using block = std::array<std::uint8_t, block_bytes>;

superblock superblock_of(std::mt19937_64& random) {
  superblock made;
  for (std::uint64_t* each : {&made.id, &made.serial, &made.tail_sequence, &made.tail_life, &made.epoch,
                              &made.changed_unix, &made.life, &made.acknowledged})
    *each = random();
  made.adopted = random() % 2 == 0;
  made.claimed = random() % 2 == 0;
  made.record_blocks = min_record_blocks + random() % (record_blocks_limit - min_record_blocks + 1);
  made.journal_bytes = (superblock_copies + made.record_blocks * (min_log_records + random() % 1000)) * block_bytes;
  made.tail = static_cast<slot>(random() % made.slots());
  made.medium.assign(random() % (text_limit + 1), 'm');
  made.owner.assign(random() % (text_limit + 1), 'o');
  for (std::uint64_t i = random() % (lost_limit + 1); i != 0; --i)
    made.lost.push_back({random() % (largest_block / 2), 1 + random() % (largest_block / 2)});
  return made;
}

record_header header_of(std::mt19937_64& random) {
  record_header made{random(), random(), random(), random(), random(), {}};
  const std::size_t count = random() % record_blocks_limit;
  const std::size_t data = random() % (count + 1);
  for (std::size_t i = 0; i < count; ++i)
    made.entries.push_back({random() % (largest_block + 1),
                            i < data            ? kind::data
                            : random() % 2 == 0 ? kind::zeroes
                                                : kind::discard,
                            static_cast<std::uint32_t>(random())});
  return made;
}

TEST(journal_format, what_was_encoded_is_decoded) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    block to;
    const superblock super = superblock_of(random);
    encode(super, to);
    RC_ASSERT(decode_superblock(to) == super);
    RC_ASSERT(looks_like_superblock(to));
    RC_ASSERT(!decode_header(to));
    const record_header header = header_of(random);
    encode(header, to);
    RC_ASSERT(decode_header(to) == header);
    RC_ASSERT(!decode_superblock(to));
  }));
}

TEST(journal_format, a_flipped_bit_is_seen) {
  EXPECT_TRUE(rc::check([](std::uint64_t seed) {
    std::mt19937_64 random(seed);
    block to;
    encode(superblock_of(random), to);
    to[random() % block_bytes] ^= static_cast<std::uint8_t>(1U << random() % 8);
    RC_ASSERT(!decode_superblock(to));
    RC_ASSERT(looks_like_superblock(to));
    encode(header_of(random), to);
    to[random() % block_bytes] ^= static_cast<std::uint8_t>(1U << random() % 8);
    RC_ASSERT(!decode_header(to));
  }));
}

TEST(journal_format, says_what_a_layout_is) {
  constexpr std::uint64_t least = (superblock_copies + 256 * min_log_records) * block_bytes;
  EXPECT_TRUE(is_layout(least, 256));
  EXPECT_FALSE(is_layout(least - block_bytes, 256));
  EXPECT_FALSE(is_layout(least + 512, 256));
  EXPECT_FALSE(is_layout(least, 257));
  EXPECT_FALSE(is_layout(least, 3));
  EXPECT_FALSE(is_layout(UINT64_MAX / block_bytes * block_bytes, 256));
}

}  // namespace
}  // namespace sluice::journal
