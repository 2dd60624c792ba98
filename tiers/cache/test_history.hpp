#pragma once
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "actors/base/bytes.hpp"

/// A checker of values: what reads of sectors may return when many requests are under way at the same time.
namespace sluice::cache {

inline constexpr std::uint64_t sector_bytes = 512;

/// Every sector is a register. A write takes effect at one moment between its start and its end; one that failed may
/// have taken effect too. A read returns what took effect last, so: never a value that something newer had replaced for
/// certain before the read began, be it by its answer or because somebody had seen the newer value.
class history {
 public:
  using value = std::uint64_t;  // 0: the sector reads as zeroes
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

  explicit history(std::uint64_t sectors) : writes_(sectors, std::vector<write>{{0, 0, 0, 0}}) {}

  void begin(std::uint64_t first, std::uint64_t count, value v, std::uint64_t now) {
    for (std::uint64_t s = first; s < first + count; ++s) writes_[s].push_back({v, now, never, never});
  }
  /// `start` is when begin() was told of it.
  void end(std::uint64_t first, std::uint64_t count, value v, std::uint64_t start, bool good, std::uint64_t now) {
    for (std::uint64_t s = first; s < first + count; ++s)
      for (write& w : writes_[s])
        if (w.what == v && w.start == start && w.end == never) {
          w.end = now;
          if (good) w.in_effect = std::min(w.in_effect, now);
          break;  // another one of zeroes may have begun at the same moment
        }
  }
  /// The power is lost while the write is under way, to a medium that reads what it may still lose: who has seen it may
  /// see it no more.
  void may_be_undone(std::uint64_t first, std::uint64_t count, value v, std::uint64_t start) {
    for (std::uint64_t s = first; s < first + count; ++s)
      for (write& w : writes_[s])
        if (w.what == v && w.start == start) w.in_effect = never;
  }
  /// Whether a read of the sector, from `start` to `now`, may have returned this; it has been seen from then on.
  bool may_read(std::uint64_t sector, value v, std::uint64_t start, std::uint64_t now) {
    bool legal = false;
    write* seen = nullptr;
    std::vector<write>& all = writes_[sector];
    for (write& w : all) {
      if (w.what != v || w.start > now) continue;
      bool replaced = false;
      for (const write& other : all) replaced |= other.start > w.end && other.in_effect < start;
      if (replaced) continue;
      legal = true;
      seen = &w;
    }
    if (legal && v != 0) seen->in_effect = std::min(seen->in_effect, now);
    if (all.size() > 24) forget(all, start);
    return legal;
  }
  std::string tell(std::uint64_t sector) const {
    std::string out;
    for (const write& w : writes_[sector])
      out += "\n  " + std::to_string(w.what) + ": " + std::to_string(w.start) + " … " +
             (w.end == never ? "under way" : std::to_string(w.end)) +
             (w.in_effect == never ? "" : ", in effect by " + std::to_string(w.in_effect));
    return out;
  }

  /// The value of a sector's octets; `never` when they are torn.
  static value value_of(const std::uint8_t* octets) {
    value v;
    std::memcpy(&v, octets, sizeof v);
    for (std::uint64_t at = 0; at < sector_bytes; at += sizeof v)
      if (std::memcmp(octets + at, &v, sizeof v) != 0) return never;
    return v;
  }
  static void fill(bytes octets, value v) {
    for (std::uint64_t at = 0; at < octets.size(); at += sizeof v) std::memcpy(octets.data() + at, &v, sizeof v);
  }

 private:
  struct write {
    value what;
    std::uint64_t start, end;
    std::uint64_t in_effect;  // by then for certain
  };
  /// Drops what no read that starts from `now` on may return; reads under way are short compared to the list.
  static void forget(std::vector<write>& all, std::uint64_t now) {
    constexpr std::uint64_t longest_read = 500'000'000;
    if (now < longest_read) return;
    const std::uint64_t before = now - longest_read;
    std::vector<write> kept;
    for (const write& w : all) {
      bool replaced = false;
      for (const write& other : all) replaced |= other.start > w.end && other.in_effect < before;
      if (!replaced) kept.push_back(w);
    }
    all = std::move(kept);
  }

  std::vector<std::vector<write>> writes_;
};

/// Of a read that began at `start` and is answered `now`: that each sector from `first` on may hold what was found.
inline void expect_read(history& of, std::uint64_t first, const std::vector<std::uint8_t>& found, std::uint64_t start,
                        std::uint64_t now) {
  for (std::uint64_t s = 0; s * sector_bytes < found.size() && !testing::Test::HasFailure(); ++s) {
    const history::value v = history::value_of(found.data() + s * sector_bytes);
    EXPECT_NE(v, history::never) << "a torn sector " << first + s;
    EXPECT_TRUE(of.may_read(first + s, v, start, now))
        << "sector " << first + s << " holds " << v << " of" << of.tell(first + s);
  }
}

}  // namespace sluice::cache
