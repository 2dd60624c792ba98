#include <algorithm>
#include <array>

#include "actors/base/check.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/crc.hpp"
#include "tiers/cache/flash/flash_format.hpp"

namespace cache = sluice::cache;
namespace flash = sluice::cache::flash;

/// Any block of flash is one of ours or none; what is decoded survives the way back. The checksum is repaired for the
/// second try, else the fuzzer would never get past it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::array<std::uint8_t, cache::block_bytes> block{}, back{};
  std::copy_n(data, std::min(size, block.size()), block.begin());
  for (int tries = 0; tries < 2; ++tries) {
    if (const auto made = flash::decode_superblock(block)) {
      flash::encode(*made, back);
      SLUICE_CHECK(flash::decode_superblock(back) == made);
    }
    if (const auto made = flash::decode_header(block)) {
      flash::encode(*made, back);
      SLUICE_CHECK(flash::decode_header(back) == made);
    }
    if (const auto made = flash::decode_region_page(block)) {
      flash::encode(*made, back);
      SLUICE_CHECK(flash::decode_region_page(back) == made);
    }
    const sluice::bytes all(block);
    sluice::wire::store32(all, block.size() - 4, sluice::wire::crc32c(all.first(block.size() - 4)));
  }
  return 0;
}
