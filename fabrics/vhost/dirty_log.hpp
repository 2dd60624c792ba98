#pragma once
#include <cstdint>
#include <memory>

#include "fabrics/vhost/mapping.hpp"

namespace sluice::vhost {

/// Which of the guest's pages this process has written, for a front end that moves the guest elsewhere: one bit for
/// each 4 KiB of guest addresses [vhost-user: Migration]. Any thread: several cores write, and so does the front end.
class dirty_log {
 public:
  explicit dirty_log(std::shared_ptr<const mapping> held) : held_(std::move(held)) {}
  /// Octets from a guest address on were written. What lies beyond the log is left out.
  void note(std::uint64_t address, std::uint64_t length) const;

 private:
  const std::shared_ptr<const mapping> held_;
};

}  // namespace sluice::vhost
