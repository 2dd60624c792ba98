#include "actors/wire/metadata_block.hpp"

#include <algorithm>

#include "actors/base/check.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/crc.hpp"

namespace sluice::wire {

void begin_metadata(bytes to, std::uint64_t magic) {
  SLUICE_CHECK(to.size() == metadata_block_bytes);
  std::fill(to.begin(), to.end(), std::uint8_t{0});
  store64(to, 0, magic);
}

void end_metadata(bytes to) {
  store32(to, metadata_crc_at, crc32c(to.first(metadata_crc_at)));
}

bool is_metadata(const_bytes from, std::uint64_t magic) {
  return from.size() == metadata_block_bytes && load64(from, 0) == magic &&
         load32(from, metadata_crc_at) == crc32c(from.first(metadata_crc_at));
}

}  // namespace sluice::wire
