#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "tiers/cache/trace/trace.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// Takes down what the channels of a store are asked for, in 2 MiB of memory, until somebody fetches it. Costs one
/// relaxed load for each request when off. When nobody fetches for ten seconds, it goes off by itself.
class trace_recorder {
 public:
  /// Any core.
  bool is_on() const noexcept { return on_.load(std::memory_order_relaxed); }
  /// Any core, without a lock. What finds no room is counted as lost; of a request longer than trace_length_limit only
  /// the beginning is taken.
  void note(store::verb what, std::uint64_t offset_bytes, std::uint64_t length_bytes, std::uint64_t now_ns) noexcept;

  /// Control path; as store::record(). errc::busy when it is on already, errc::not_found when it is not.
  result<store::recorded> turn(store::recording how, std::uint64_t now_ns);

 private:
  static constexpr std::uint64_t room = 1U << 16;
  static constexpr std::uint64_t patience_ns = 10 * ns_per_s;
  /// A bounded queue of many writers (Vyukov's): a slot's turn says whose it is.
  struct slot {
    std::atomic<std::uint64_t> turn;
    trace_record record;
  };
  void begin(std::uint64_t now_ns);
  store::recorded fetch(std::uint64_t now_ns);

  std::atomic<bool> on_ = false;
  std::atomic<std::uint64_t> begun_ns_ = 0;
  std::atomic<std::uint64_t> fetched_ns_ = 0;
  std::atomic<std::uint64_t> lost_ = 0;
  std::atomic<std::uint64_t> tail_ = 0;
  std::atomic<slot*> slots_ = nullptr;  // of owned_, once it is there

  std::mutex guard_;  // of control paths
  std::uint64_t head_ = 0;
  std::unique_ptr<slot[]> owned_;  // stays from the first recording on: a core may be about to write into it
};

}  // namespace sluice::cache
