#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "gateway/scsi/outcome.hpp"

namespace sluice::unit {

/// The unit attention conditions that one nexus has yet to hear of, oldest first [SAM-5 5.14]. Each at most once; a
/// reset tells everything that came before it.
class attention_queue {
 public:
  bool empty() const { return count_ == 0; }
  std::size_t size() const { return count_; }

  /// Whether it is new.
  bool establish(scsi::additional_sense code) {
    if (is_reset(code)) count_ = 0;
    for (std::size_t i = 0; i < count_; ++i)
      if (codes_[i] == code) return false;
    if (count_ == codes_.size()) return false;  // the nexus is told to look around anew by those that it has
    codes_[count_++] = code;
    return true;
  }

  /// The oldest, which goes.
  std::optional<scsi::additional_sense> take() {
    if (count_ == 0) return std::nullopt;
    const scsi::additional_sense oldest = codes_[0];
    for (std::size_t i = 1; i < count_; ++i) codes_[i - 1] = codes_[i];
    --count_;
    return oldest;
  }
  void drop(scsi::additional_sense code) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < count_; ++i)
      if (codes_[i] != code) codes_[kept++] = codes_[i];
    count_ = kept;
  }

 private:
  static bool is_reset(scsi::additional_sense code) { return code >> 8 == 0x29; }
  std::array<scsi::additional_sense, 12> codes_{};
  std::size_t count_ = 0;
};

}  // namespace sluice::unit
