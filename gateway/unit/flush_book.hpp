#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

namespace sluice::unit {

/// How a flush ended, for those whose writes it was to make durable.
enum class flush_end : std::uint8_t {
  good,
  failed,
  not_done,  // it never came to the medium, or was called back
};

/// Which acknowledged writes of a unit are durable, for all of its shards. Flushes are numbered as they begin; a write
/// is marked with the number of the first flush that begins after its acknowledgement. Any thread; the lock is taken
/// for a moment, and by flushes only.
///
/// A good flush proves something only when no other one ran beside it and failed: systems report the loss of data to
/// one of those that ask, and forget it.
class flush_book {
 public:
  /// The mark of a write that is acknowledged now.
  std::uint64_t mark() noexcept {
    const std::uint64_t next = begun_.load() + 1;
    std::uint64_t newest = marked_.load();
    while (newest < next && !marked_.compare_exchange_weak(newest, next)) {
    }
    return next;
  }
  /// Whether what was acknowledged, or may be there because it failed, is on the medium. It may not be for a while
  /// after writing back was turned off, or for ever when that flush failed.
  bool is_all_durable() const noexcept { return marked_.load() <= durable_.load(); }
  /// A flush begins, and covers all marks up to the number that is returned, which is never 0.
  std::uint64_t begin();
  void end(std::uint64_t flush, flush_end how);

  /// The newest failure, counted from 1, and the marks up to which all was durable before the first one after `seen`.
  struct failure {
    std::uint64_t number = 0;
    std::uint64_t durable = 0;
  };
  /// nullopt: none since `seen`.
  std::optional<failure> failed_since(std::uint64_t seen) const;

 private:
  /// A good flush, proven when all others have ended that ran beside it: those up to `beside`.
  struct unproven {
    std::uint64_t flush;
    std::uint64_t beside;
  };
  void prove();

  static constexpr std::size_t failures_kept = 64;

  std::atomic<std::uint64_t> begun_ = 0;
  std::atomic<std::uint64_t> failures_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> running_;
  std::vector<unproven> unproven_;
  std::atomic<std::uint64_t> marked_ = 0;   // the newest mark
  std::atomic<std::uint64_t> durable_ = 0;  // marks up to it are
  std::deque<std::uint64_t> before_;        // durable_ at each of the last failures
};

}  // namespace sluice::unit
