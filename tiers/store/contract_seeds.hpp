#pragma once
#include <cstdint>
#include <cstdlib>

namespace sluice::store::contract {

/// How many seeds a test of chance takes: SLUICE_SEEDS of the environment, or `few`.
inline std::uint64_t seeds_or(std::uint64_t few) {
  const char* const more = std::getenv("SLUICE_SEEDS");
  return more ? std::strtoull(more, nullptr, 10) : few;
}

}  // namespace sluice::store::contract
