#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

#include "actors/base/bytes.hpp"
#include "actors/base/check.hpp"

/// Integers in the order of virtio and of shared memory. The caller has checked the length.
namespace sluice::wire::little {

static_assert(std::endian::native == std::endian::little);

template <class Integer>
[[gnu::always_inline]] inline Integer load(const_bytes from, std::size_t offset) {
  SLUICE_CHECK(offset + sizeof(Integer) <= from.size());
  Integer value;
  std::memcpy(&value, from.data() + offset, sizeof value);
  return value;
}
inline std::uint16_t load16(const_bytes from, std::size_t offset) {
  return load<std::uint16_t>(from, offset);
}
inline std::uint32_t load32(const_bytes from, std::size_t offset) {
  return load<std::uint32_t>(from, offset);
}
inline std::uint64_t load64(const_bytes from, std::size_t offset) {
  return load<std::uint64_t>(from, offset);
}

template <class Integer>
[[gnu::always_inline]] inline void store(bytes to, std::size_t offset, Integer value) {
  SLUICE_CHECK(offset + sizeof(Integer) <= to.size());
  std::memcpy(to.data() + offset, &value, sizeof value);
}
inline void store16(bytes to, std::size_t offset, std::uint16_t value) {
  store(to, offset, value);
}
inline void store32(bytes to, std::size_t offset, std::uint32_t value) {
  store(to, offset, value);
}
inline void store64(bytes to, std::size_t offset, std::uint64_t value) {
  store(to, offset, value);
}

}  // namespace sluice::wire::little
