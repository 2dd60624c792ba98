#pragma once
#include <cstdint>

#include "actors/base/bytes.hpp"

namespace sluice::wire {

/// CRC32C as iSCSI digests use it [RFC7143 13.1]: chain calls by passing the previous value; start and finish are
/// handled here, so crc32c(b, crc32c(a)) == crc32c(a followed by b).
std::uint32_t crc32c(const_bytes data, std::uint32_t previous = 0);

}  // namespace sluice::wire
