#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>

#include "fabrics/iscsi/answers.hpp"

namespace sluice::iscsi {

/// Counts what connections have met since the start, apart from what was refused (refusals.hpp). Any thread.
class tally {
 public:
  enum what : std::uint8_t { login, discovery, header_digest_error, data_digest_error, kinds };

  void count(what kind) { counts_[kind].fetch_add(1, std::memory_order_relaxed); }
  void count(reject_reason reason) {
    rejects_[static_cast<std::size_t>(reason) % rejects_.size()].fetch_add(1, std::memory_order_relaxed);
  }
  /// By what they are: "logins", "digest_errors", "rejects"; and by their kind.
  std::map<std::string, std::map<std::string, std::uint64_t>> all() const;

 private:
  std::array<std::atomic<std::uint64_t>, kinds> counts_{};
  std::array<std::atomic<std::uint64_t>, 16> rejects_{};  // by reason, which is less
};

}  // namespace sluice::iscsi
