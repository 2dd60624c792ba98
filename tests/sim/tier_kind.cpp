#include "tests/sim/tier_kind.hpp"

#include <algorithm>
#include <string>

#include "actors/reactor/loop.hpp"

namespace sluice::sim {
namespace {

constexpr const char* mode_of(tier_kind kind) {
  switch (kind) {
    case tier_kind::flash_around:
      return "write-around";
    case tier_kind::write_back:
    case tier_kind::write_back_in_memory:
      return "write-back";
    default:
      return "write-through";
  }
}

}  // namespace

const char* to_string(tier_kind kind) {
  switch (kind) {
    case tier_kind::none:
      return "no cache";
    case tier_kind::ram:
      return "a cache in RAM";
    case tier_kind::flash:
      return "a cache with flash";
    case tier_kind::flash_around:
      return "a cache with flash in write-around";
    case tier_kind::write_back:
      return "a write-back cache";
    case tier_kind::write_back_in_memory:
      return "a write-back cache in memory";
  }
  return "?";
}

void put_tiers(config::model& in, tier_kind kind, std::uint64_t ram_bytes, std::uint64_t variant) {
  std::erase_if(in.stores, [](const auto& each) { return each.name == "cache"; });
  const auto unit =
      std::find_if(in.units.begin(), in.units.end(), [](const auto& each) { return each.name == "disk"; });
  unit->store = kind == tier_kind::none ? "disk" : "cache";
  if (kind == tier_kind::none) return;
  config::store_config cache{"cache", "cache", {}, "disk", {}};
  config::values& settings = cache.settings;
  settings.set("over", std::string("disk"));
  settings.set("ram", ram_bytes);
  settings.set("mode", std::string(mode_of(kind)));
  settings.set("bypass", variant % 2 == 0 ? std::uint64_t{0} : 64 * kib);
  settings.set("prefetch", variant % 3 == 0 ? std::uint64_t{0} : 128 * kib);
  settings.set("destage_delay", 20 * ns_per_ms);
  if (kind == tier_kind::write_back_in_memory) settings.set("volatile_dirty", 16 * mib);
  if (kind == tier_kind::flash || kind == tier_kind::flash_around || kind == tier_kind::write_back) {
    settings.set("flash.path", std::string(flash_path));
    settings.set("flash.size", 32 * mib);
  }
  if (kind == tier_kind::write_back) settings.set("flash.dirty", 16 * mib);
  in.stores.push_back(std::move(cache));
}

}  // namespace sluice::sim
