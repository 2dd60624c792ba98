#pragma once
#include <bitset>
#include <cstdint>
#include <mutex>

namespace sluice::iscsi {

/// The target session identifying handles in use at one port, over all its cores. Only login and logout come here, so a
/// mutex is good enough.
class session_handles {
 public:
  /// A handle that no live session has; 0 when all 65535 are taken.
  std::uint16_t allocate() {
    const std::lock_guard guard(mutex_);
    for (unsigned tries = 0; tries < 65536; ++tries) {
      const std::uint16_t candidate = ++last_;
      if (candidate == 0 || used_.test(candidate)) continue;
      used_.set(candidate);
      return candidate;
    }
    return 0;
  }
  void release(std::uint16_t tsih) {
    const std::lock_guard guard(mutex_);
    used_.reset(tsih);
  }
  bool exists(std::uint16_t tsih) const {
    const std::lock_guard guard(mutex_);
    return used_.test(tsih);
  }

 private:
  mutable std::mutex mutex_;
  std::bitset<65536> used_;
  std::uint16_t last_ = 0;
};

}  // namespace sluice::iscsi
