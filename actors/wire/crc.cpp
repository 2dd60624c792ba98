#include "actors/wire/crc.hpp"

#include <isa-l.h>

namespace sluice::wire {

std::uint32_t crc32c(const_bytes data, std::uint32_t previous) {
  // ISA-L works on the raw register: seed and final inversion are the caller's. Its signature lacks const.
  return ~crc32_iscsi(const_cast<unsigned char*>(data.data()), static_cast<int>(data.size()), ~previous);
}

}  // namespace sluice::wire
