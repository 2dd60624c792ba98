#pragma once
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <unordered_map>

namespace sluice::iscsi {

/// Slows down who guesses CHAP secrets. Failures are counted by the peer's address, by the initiator name that it
/// claims, and by both together. The answer to a wrong response waits for as long as the most failures of its address
/// or of its name ask: each doubles that. A right one waits only for failures of the same address under the same name:
/// else whoever knows a name could keep its host out, and whoever shares an address with a host (a translated one, or
/// several initiators of one machine) by guessing under other names. It does wait for those, or silence would tell a
/// guesser that it was wrong. Any thread; only logins come here.
class guess_guard {
 public:
  static constexpr std::uint64_t first_delay_ns = 100'000'000, longest_delay_ns = 4'000'000'000;
  static constexpr std::uint64_t memory_ns = 60'000'000'000;  // after that long without a failure all is forgotten
  static constexpr std::size_t max_entries = 4096;            // the one without a failure for longest goes first

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
