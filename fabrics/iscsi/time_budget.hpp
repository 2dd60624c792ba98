#pragma once
#include <algorithm>
#include <cstdint>

namespace sluice::iscsi {

/// A share of a loop's time: a token bucket of nanoseconds. What is not used is saved up to a limit; work that took
/// longer than there was is paid off before the next begins.
class time_budget {
 public:
  /// One part in `parts` of the time, and at most `saved_ns` of it saved, as there is at first.
  constexpr time_budget(unsigned parts, std::uint64_t saved_ns)
      : parts_(parts), saved_ns_(static_cast<std::int64_t>(saved_ns)), left_ns_(saved_ns_) {}

  void earn_until(std::uint64_t now_ns) {
    if (now_ns <= earned_until_ns_) return;
    // Parts of a nanosecond would be lost each time: what is not earned yet stays for the next.
    const std::uint64_t earned = std::min<std::uint64_t>((now_ns - earned_until_ns_) / parts_, INT64_MAX / 2);
    left_ns_ = std::min(left_ns_ + static_cast<std::int64_t>(earned), saved_ns_);
    earned_until_ns_ += earned * parts_;
  }
  void spend(std::uint64_t ns) { left_ns_ -= static_cast<std::int64_t>(ns); }
  bool is_spent() const { return left_ns_ <= 0; }
  std::int64_t left_ns() const { return left_ns_; }

 private:
  const unsigned parts_;
  const std::int64_t saved_ns_;
  std::int64_t left_ns_;
  std::uint64_t earned_until_ns_ = 0;
};

}  // namespace sluice::iscsi
