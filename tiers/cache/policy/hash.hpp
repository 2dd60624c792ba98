#pragma once
#include <cstdint>

namespace sluice::cache {

/// Spreads the bits of a block number over all 64 (the finaliser of splitmix64); a bijection.
constexpr std::uint64_t mix(std::uint64_t key) noexcept {
  key += 0x9e3779b97f4a7c15U;
  key = (key ^ key >> 30) * 0xbf58476d1ce4e5b9U;
  key = (key ^ key >> 27) * 0x94d049bb133111ebU;
  return key ^ key >> 31;
}

}  // namespace sluice::cache
