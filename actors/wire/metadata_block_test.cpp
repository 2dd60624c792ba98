#include "actors/wire/metadata_block.hpp"

#include <gtest/gtest.h>

#include <array>

namespace sluice::wire {
namespace {

TEST(metadata_block, is_one_until_an_byte_of_it_changes) {
  constexpr std::uint64_t magic = 0x736c756963650042;
  std::array<std::uint8_t, metadata_block_bytes> block;
  block.fill(0xee);
  begin_metadata(block, magic);
  EXPECT_EQ(block[8], 0);
  block[8] = 7;
  end_metadata(block);
  EXPECT_TRUE(is_metadata(block, magic));
  EXPECT_FALSE(is_metadata(block, magic + 1));
  EXPECT_FALSE(is_metadata(const_bytes(block).first(512), magic));
  for (std::size_t at = 0; at < block.size(); at += 37) {
    block[at] ^= 0x10;
    EXPECT_FALSE(is_metadata(block, magic)) << at;
    block[at] ^= 0x10;
  }
}

}  // namespace
}  // namespace sluice::wire
