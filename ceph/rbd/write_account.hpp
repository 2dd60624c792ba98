#pragma once
#include <atomic>
#include <cstdint>

namespace sluice::rbd {

/// What was written through a handle, and what of that a flush has made durable. A write is noted before it is
/// answered, a flush with what writes() was when it began, once it has succeeded: so one may be left out when all is
/// flushed, whatever else is under way. Any thread.
class write_account {
 public:
  void note_write() noexcept { writes_.fetch_add(1); }
  std::uint64_t writes() const noexcept { return writes_.load(); }
  void note_flush(std::uint64_t writes) noexcept {
    std::uint64_t before = flushed_.load();
    while (before < writes && !flushed_.compare_exchange_weak(before, writes)) continue;
  }
  bool is_flushed() const noexcept { return flushed_.load() == writes_.load(); }

 private:
  std::atomic<std::uint64_t> writes_ = 0, flushed_ = 0;
};

}  // namespace sluice::rbd
