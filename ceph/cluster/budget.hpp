#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>

namespace sluice::cluster {

/// How much of a connection's capacity is in use. It stays below the library's own limits, because the library enforces
/// those by blocking its threads, and with them every image of the connection.
class budget {
 public:
  budget(std::uint64_t operations, std::uint64_t octets) : operations_limit_(operations), bytes_limit_(octets) {}
  budget(const budget&) = delete;
  budget& operator=(const budget&) = delete;

  /// A share for one request; false when there is none left. What is larger than the budget gets all of it.
  bool take(std::uint64_t operations, std::uint64_t octets) noexcept;
  /// Gives a share back, with the same numbers.
  void give_back(std::uint64_t operations, std::uint64_t octets) noexcept;

  /// `wake` is called once, on whatever thread, when somebody gave something back. Who waits tries take() once more
  /// after this, lest it slept through that.
  void wait(const void* who, std::function<void()> wake);
  /// Takes the wish back; after it returns `wake` is not running and does not run any more.
  void leave(const void* who);

 private:
  struct waiter {
    const void* who;
    std::function<void()> wake;
  };

  const std::uint64_t operations_limit_, bytes_limit_;
  std::atomic<std::uint64_t> operations_ = 0, bytes_ = 0;
  std::atomic<std::size_t> waiting_ = 0;
  std::mutex guard_;
  std::deque<waiter> waiters_;
};

}  // namespace sluice::cluster
