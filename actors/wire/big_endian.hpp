#pragma once
#include <bit>
#include <cstdint>
#include <cstring>

#include "actors/base/bytes.hpp"
#include "actors/base/check.hpp"

namespace sluice::wire {

/// Reads a big-endian unsigned integer of 1, 2, 3, 4, 6 or 8 octets at `offset`. The caller has checked the length.
template <unsigned Octets>
[[gnu::always_inline]] inline std::uint64_t load(const_bytes from, std::size_t offset) {
  SLUICE_CHECK(offset + Octets <= from.size());
  std::uint64_t value = 0;
  for (unsigned i = 0; i < Octets; ++i) value = value << 8 | from[offset + i];
  return value;
}
inline std::uint8_t load8(const_bytes from, std::size_t offset) {
  return static_cast<std::uint8_t>(load<1>(from, offset));
}
inline std::uint16_t load16(const_bytes from, std::size_t offset) {
  return static_cast<std::uint16_t>(load<2>(from, offset));
}
inline std::uint32_t load24(const_bytes from, std::size_t offset) {
  return static_cast<std::uint32_t>(load<3>(from, offset));
}
inline std::uint32_t load32(const_bytes from, std::size_t offset) {
  return static_cast<std::uint32_t>(load<4>(from, offset));
}
inline std::uint64_t load48(const_bytes from, std::size_t offset) {
  return load<6>(from, offset);
}
inline std::uint64_t load64(const_bytes from, std::size_t offset) {
  return load<8>(from, offset);
}

template <unsigned Octets>
[[gnu::always_inline]] inline void store(bytes to, std::size_t offset, std::uint64_t value) {
  SLUICE_CHECK(offset + Octets <= to.size());
  for (unsigned i = 0; i < Octets; ++i) to[offset + i] = static_cast<std::uint8_t>(value >> (8 * (Octets - 1 - i)));
}
inline void store8(bytes to, std::size_t offset, std::uint64_t value) {
  store<1>(to, offset, value);
}
inline void store16(bytes to, std::size_t offset, std::uint64_t value) {
  store<2>(to, offset, value);
}
inline void store24(bytes to, std::size_t offset, std::uint64_t value) {
  store<3>(to, offset, value);
}
inline void store32(bytes to, std::size_t offset, std::uint64_t value) {
  store<4>(to, offset, value);
}
inline void store48(bytes to, std::size_t offset, std::uint64_t value) {
  store<6>(to, offset, value);
}
inline void store64(bytes to, std::size_t offset, std::uint64_t value) {
  store<8>(to, offset, value);
}

}  // namespace sluice::wire
