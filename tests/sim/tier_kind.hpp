#pragma once
#include <cstdint>

#include "config/schema/model.hpp"

namespace sluice::sim {

/// What lies between the lasting unit of a scenario and its file.
enum class tier_kind : std::uint8_t { none, ram, flash, flash_around, write_back, write_back_in_memory };
inline constexpr unsigned tier_kinds = 6;

const char* to_string(tier_kind kind);
/// Whether it acknowledges what is not below yet.
constexpr bool holds_writes(tier_kind kind) {
  return kind == tier_kind::write_back || kind == tier_kind::write_back_in_memory;
}
/// Whether the disk may become smaller under it: docs/tiers.md.
constexpr bool lets_shrink(tier_kind kind) {
  return kind == tier_kind::none || kind == tier_kind::ram;
}
inline constexpr const char* flash_path = "/sim/flash";

/// Puts it between unit and store, both of the name `disk`, in the place of what was there, with so much RAM. Other
/// manners for another `variant`: what is kept of streams, and what is read ahead.
void put_tiers(config::model& in, tier_kind kind, std::uint64_t ram_bytes, std::uint64_t variant);

}  // namespace sluice::sim
