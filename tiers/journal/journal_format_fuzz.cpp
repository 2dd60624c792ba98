#include <algorithm>
#include <array>

#include "actors/base/check.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/crc.hpp"
#include "tiers/journal/journal_format.hpp"

namespace journal = sluice::journal;

/// Any block of a journal is one of ours or none; what is decoded survives the way back. The checksum is repaired for
/// the second try, else the fuzzer would never get past it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::array<std::uint8_t, journal::block_bytes> block{}, back{};
  std::copy_n(data, std::min(size, block.size()), block.begin());
  for (int tries = 0; tries < 2; ++tries) {
    if (const auto made = journal::decode_superblock(block)) {
      journal::encode(*made, back);
      SLUICE_CHECK(journal::decode_superblock(back) == made);
    }
    if (const auto made = journal::decode_header(block)) {
      journal::encode(*made, back);
      SLUICE_CHECK(journal::decode_header(back) == made);
    }
    const sluice::bytes all(block);
    sluice::wire::store32(all, block.size() - 4, sluice::wire::crc32c(all.first(block.size() - 4)));
  }
  return 0;
}
