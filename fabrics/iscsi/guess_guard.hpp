#pragma once
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

namespace sluice::iscsi {

/// Slows down who guesses CHAP secrets. Failures are counted by the peer's address and by the initiator name that it
/// claims; the answer to the next response of the address, right or wrong, waits twice as long as the one before, and
/// so does a wrong one under the name. A right one under the name does not: else whoever knows a name could keep its
/// host out. Any thread; only logins come here.
class guess_guard {
 public:
  static constexpr std::uint64_t first_delay_ns = 100'000'000, longest_delay_ns = 4'000'000'000;
  static constexpr std::uint64_t memory_ns = 60'000'000'000;  // after that long without a failure all is forgotten
  static constexpr std::size_t most_entries = 4096;           // the one without a failure for longest goes first

  /// How long the answer to a response waits; counts a wrong one.
  std::uint64_t delay_ns(const std::string& address, const std::string& initiator, bool right, std::uint64_t now_ns);
  /// Wrong ones, ever.
  std::uint64_t failures() const;

 private:
  struct entry {
    unsigned count = 0;
    std::uint64_t last_ns = 0;
    std::list<std::string>::iterator place;
  };
  unsigned count_of(const std::string& key, std::uint64_t now_ns) const;
  void count(const std::string& key, std::uint64_t now_ns);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, entry> entries_;
  std::list<std::string> by_time_;  // the oldest failure first
  std::uint64_t failures_ = 0;
};

}  // namespace sluice::iscsi
