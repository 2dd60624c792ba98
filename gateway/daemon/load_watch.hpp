#pragma once
#include <cstdint>
#include <map>
#include <optional>

#include "actors/base/global_id.hpp"

namespace sluice::daemon {

/// Whether another gateway should own a unit, because its hosts send nearly all of their commands there: for some
/// periods one after the other, so that a unit which hosts use by all paths stays where it is, and none moves to and
/// fro. Such hosts cannot reach the owner, or look at no path priorities.
class load_watch {
 public:
  static constexpr std::uint64_t period_ns = 5'000'000'000;
  static constexpr unsigned periods = 6;
  static constexpr std::uint64_t share_percent = 75;
  static constexpr std::uint64_t min_commands = 250;  // of a period

  /// Once a period, while `own` owns the unit: the commands that have come by each gateway so far. Whom to give it to.
  std::optional<gateway_id> look(const std::map<gateway_id, std::uint64_t>& came_by, gateway_id own);

 private:
  std::map<gateway_id, std::uint64_t> before_;
  gateway_id by_ = 0;  // most of them came by it
  unsigned in_a_row_ = 0;
};

}  // namespace sluice::daemon
