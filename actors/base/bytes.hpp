#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

/// A view of octets; whoever hands it out owns the memory and says for how long.
using bytes = std::span<std::uint8_t>;
using const_bytes = std::span<const std::uint8_t>;

inline const_bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(const_bytes octets) {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

inline constexpr std::uint64_t kib = 1024;
inline constexpr std::uint64_t mib = 1024 * kib;
inline constexpr std::uint64_t gib = 1024 * mib;
inline constexpr std::uint64_t tib = 1024 * gib;

inline constexpr std::uint64_t ns_per_us = 1000;
inline constexpr std::uint64_t ns_per_ms = 1000 * ns_per_us;
inline constexpr std::uint64_t ns_per_s = 1000 * ns_per_ms;

}  // namespace sluice
