#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

inline constexpr std::uint64_t tick_ns = ns_per_ms;  // of every loop's wheel

/// A hierarchical timing wheel: seven levels of 64 slots, each level's slot as wide as the whole level below. A timer
/// sits on the level of the highest bit in which its deadline differs from the current tick, so it moves down at most
/// six times before it expires, and arming and disarming touch one list. Ticks count from 0; 2^42 of them are the
/// horizon (139 years of milliseconds), later deadlines are clamped to it. Timers are not owned.
class timer_wheel {
 public:
  timer_wheel() = default;
  timer_wheel(const timer_wheel&) = delete;
  timer_wheel& operator=(const timer_wheel&) = delete;

  /// Expires when advance() reaches `deadline_tick`, at the earliest one tick after the current one.
  void arm(timer& t, std::uint64_t deadline_tick) noexcept;
  void disarm(timer& t) noexcept;
  bool empty() const { return armed_ == 0; }
  std::uint64_t current_tick() const { return now_; }

  /// When advance() next has something to do: a deadline, or a tick at which timers move down a level before theirs.
  std::optional<std::uint64_t> next_tick() const noexcept;

  /// Calls on_timer() of every timer due at or before `tick`, in the order of their deadlines; handlers may arm and
  /// disarm any timer. Returns how many expired.
  unsigned advance(std::uint64_t tick) noexcept;

  /// Disarms every timer.
  void clear() noexcept;

 private:
  static constexpr unsigned level_count = 7;
  static constexpr unsigned slot_bits = 6;
  static constexpr unsigned slot_count = 1u << slot_bits;
  static constexpr std::uint64_t horizon = (std::uint64_t{1} << (level_count * slot_bits)) - 1;

  struct list final : timer {
    list() { next_ = previous_ = this; }
    void on_timer() noexcept override {}
    bool empty() const { return next_ == this; }
    void push_back(timer& t);
    static void unlink(timer& t);
  };
  struct level {
    std::uint64_t occupied = 0;  // bit i: slots[i] is not empty
    std::array<list, slot_count> slots;
  };
  struct place {
    unsigned level;
    unsigned slot;
  };

  place place_of(std::uint64_t deadline_tick) const;
  void insert(timer& t);
  void open_slot(std::uint64_t tick);

  std::uint64_t now_ = 0;
  std::uint64_t armed_ = 0;
  list due_;
  std::array<level, level_count> levels_;
};

}  // namespace sluice::reactor
