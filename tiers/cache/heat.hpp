#pragma once
#include <cstdint>
#include <vector>

namespace sluice::cache {

/// How much each extent is asked for, with a memory that fades: what was counted weighs half as much after every
/// half-life. Holds a bounded number of extents, 24 octets each; a new one takes the place of the coldest of the eight
/// that share its corner of the table.
class heat_map {
 public:
  heat_map(std::uint32_t extents, std::uint64_t half_life_ns);

  /// `now_ns` never goes back.
  void touch(std::uint64_t extent, double weight, std::uint64_t now_ns) noexcept;
  /// 0 for an extent that is not known.
  double of(std::uint64_t extent, std::uint64_t now_ns) const noexcept;

  struct reading {
    std::uint64_t extent;
    double heat;
    bool operator==(const reading&) const = default;
  };
  /// The hottest extents, hottest first, at most `count`. Walks the whole table: control paths.
  std::vector<reading> hottest(std::size_t count, std::uint64_t now_ns) const;
  std::uint64_t memory_bytes() const noexcept { return cells_.size() * sizeof(cell); }

 private:
  static constexpr std::uint64_t nobody = UINT64_MAX;
  static constexpr unsigned ways = 8;
  struct cell {
    std::uint64_t extent = nobody;
    double heat = 0;  // as of counted_ns
    std::uint64_t counted_ns = 0;
  };
  double faded(const cell& c, std::uint64_t now_ns) const noexcept;
  const cell* corner(std::uint64_t extent) const noexcept;

  std::vector<cell> cells_;
  std::uint64_t mask_;
  double half_life_ns_;
};

}  // namespace sluice::cache
