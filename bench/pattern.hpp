#pragma once
#include <cstring>

#include "actors/base/bytes.hpp"

namespace sluice::bench {

/// Fills `to` with the data of the `generation`-th write to the extent that starts at `lba`. Every 8 octets differ from
/// those of any other place or generation (up to a multiplicative hash), so misplaced and stale data show.
inline void fill_pattern(bytes to, std::uint64_t lba, std::uint32_t generation) {
  std::uint64_t word = (lba * 0x9e3779b97f4a7c15ull) ^ (generation * 0xd1342543de82ef95ull);
  for (std::size_t at = 0; at < to.size(); at += sizeof word, word += 0xa0761d6478bd642full) {
    std::memcpy(to.data() + at, &word, to.size() - at < sizeof word ? to.size() - at : sizeof word);
  }
}

}  // namespace sluice::bench
