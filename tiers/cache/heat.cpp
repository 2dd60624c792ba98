#include "tiers/cache/heat.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "tiers/cache/hash.hpp"

namespace sluice::cache {

heat_map::heat_map(std::uint32_t extents, std::uint64_t half_life_ns)
    : cells_(std::bit_ceil(std::max<std::uint64_t>(extents, ways))),
      mask_(cells_.size() / ways - 1),
      half_life_ns_(static_cast<double>(half_life_ns)) {}

const heat_map::cell* heat_map::corner(std::uint64_t extent) const noexcept {
  return cells_.data() + (mix(extent) & mask_) * ways;
}

double heat_map::faded(const cell& c, std::uint64_t now_ns) const noexcept {
  return c.heat * std::exp2(-static_cast<double>(now_ns - c.counted_ns) / half_life_ns_);
}

void heat_map::touch(std::uint64_t extent, double weight, std::uint64_t now_ns) noexcept {
  cell* const first = const_cast<cell*>(corner(extent));
  cell* chosen = first;
  for (cell* c = first; c != first + ways; ++c) {
    if (c->extent == extent) {
      *c = {extent, faded(*c, now_ns) + weight, now_ns};
      return;
    }
    const bool colder = c->extent == nobody ? chosen->extent != nobody
                                            : chosen->extent != nobody && faded(*c, now_ns) < faded(*chosen, now_ns);
    if (colder) chosen = c;
  }
  *chosen = {extent, weight, now_ns};
}

double heat_map::of(std::uint64_t extent, std::uint64_t now_ns) const noexcept {
  const cell* const first = corner(extent);
  const cell* const found = std::find_if(first, first + ways, [&](const cell& c) { return c.extent == extent; });
  return found == first + ways ? 0 : faded(*found, now_ns);
}

std::vector<heat_map::reading> heat_map::hottest(std::size_t count, std::uint64_t now_ns) const {
  std::vector<reading> all;
  for (const cell& c : cells_)
    if (c.extent != nobody) all.push_back({c.extent, faded(c, now_ns)});
  const auto hotter = [](const reading& a, const reading& b) {
    return a.heat != b.heat ? a.heat > b.heat : a.extent < b.extent;
  };
  const std::size_t kept = std::min(count, all.size());
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept), all.end(), hotter);
  all.resize(kept);
  return all;
}

}  // namespace sluice::cache
