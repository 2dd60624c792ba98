#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

#include "actors/reactor/loop.hpp"
#include "tiers/store/store.hpp"

namespace sluice::fault {

enum class effect : std::uint8_t {
  none,
  fail,  // answered with a status, the medium untouched
  tear,  // write, write_same, discard, write_zeroes: a part from the front happens, then medium_error
  lose,  // answered good, the medium untouched
};

/// How often what goes wrong by chance, in parts per million of the requests it can befall.
struct chances {
  std::uint64_t seed = 0;  // 0: another one each time
  std::uint32_t read_error_ppm = 0;
  std::uint32_t write_error_ppm = 0;
  std::uint32_t flush_error_ppm = 0;
  std::uint32_t no_space_ppm = 0;
  std::uint32_t torn_write_ppm = 0;
  std::uint32_t lost_write_ppm = 0;
  std::uint32_t delay_ppm = 0;
  std::uint64_t delay_ns = 0;
  std::uint64_t deadline_ns = 0;  // how long the unit waits for a request; 0: as for the store below
};

/// What shall happen to one request.
struct verdict {
  effect what = effect::none;
  store::status outcome = store::status::good;  // fail only
};

/// Faults on command, from any thread, for all channels of one fault store.
class fault_control {
 public:
  /// The next `count` requests of a verb suffer; replaces what was ordered for the verb before; count 0 takes it back.
  void order(store::verb what, std::uint32_t count, verdict v) noexcept;
  void fail_next(store::verb what, std::uint32_t count, store::status outcome) noexcept {
    order(what, count, {effect::fail, outcome});
  }
  /// From now on requests are held, until release(): those held go on then, in the order they came per channel.
  void stall() noexcept { stalled_.store(true, std::memory_order_release); }
  void release();
  bool stalled() const noexcept { return stalled_.load(std::memory_order_acquire); }

  /// How many requests suffered a fault so far, and how many are held by stall().
  std::uint64_t injected() const noexcept { return injected_.load(std::memory_order_relaxed); }
  std::uint64_t held() const noexcept { return held_.load(std::memory_order_acquire); }

 private:
  friend class fault_channel;

  verdict take_order(store::verb what) noexcept;
  /// `go_on` runs on the loop after each release().
  void attach(const void* channel, reactor::loop& loop, std::function<void()> go_on);
  void detach(const void* channel);

  struct attached {
    reactor::loop* loop;
    std::function<void()> go_on;
  };

  static constexpr std::size_t verb_count = 8;
  // One word each, so that taking an order needs no lock: count, effect, status.
  std::array<std::atomic<std::uint64_t>, verb_count> orders_{};
  std::atomic<bool> stalled_ = false;
  std::atomic<std::uint64_t> injected_ = 0;
  std::atomic<std::uint64_t> held_ = 0;
  std::mutex guard_;
  std::map<const void*, attached> attached_;
};

}  // namespace sluice::fault
