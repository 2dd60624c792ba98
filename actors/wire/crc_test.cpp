#include "actors/wire/crc.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "actors/wire/big_endian.hpp"

namespace sluice::wire {

TEST(crc32c, matches_the_examples_of_rfc3720_b4) {
  std::vector<std::uint8_t> data(32, 0);
  EXPECT_EQ(crc32c(data), 0x8a9136aau);
  data.assign(32, 0xff);
  EXPECT_EQ(crc32c(data), 0x62a8ab43u);
  std::iota(data.begin(), data.end(), 0);
  EXPECT_EQ(crc32c(data), 0x46dd794eu);
}

TEST(crc32c, chains) {
  std::vector<std::uint8_t> data(1000);
  std::iota(data.begin(), data.end(), 7);
  for (std::size_t cut : {0u, 1u, 3u, 500u, 1000u})
    EXPECT_EQ(crc32c(const_bytes(data).subspan(cut), crc32c(const_bytes(data).first(cut))), crc32c(data));
}

TEST(big_endian, round_trips_every_width) {
  std::uint8_t raw[16] = {};
  store64(raw, 3, 0x0102030405060708ull);
  EXPECT_EQ(load64(raw, 3), 0x0102030405060708ull);
  EXPECT_EQ(load16(raw, 3), 0x0102);
  EXPECT_EQ(load24(raw, 4), 0x020304u);
  EXPECT_EQ(load48(raw, 3), 0x010203040506ull);
}

}  // namespace sluice::wire
