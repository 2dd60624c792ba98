#pragma once
#include <functional>

#include "actors/base/result.hpp"

namespace sluice::unit {

/// The medium of a unit that gateways share, while this gateway owns the unit: what tiers over it kept before is not
/// believed, for others wrote to it. Calls do not block; `done` runs later, on the coordinator's loop. What is asked is
/// done in that order.
class tenure {
 public:
  virtual ~tenure() = default;
  /// Commands may touch blocks once it has been answered without an error; after one it may be asked again.
  virtual void begin(std::function<void(const result<void>&)> done) = 0;
  /// No request is under way. Others may own the unit when it is answered.
  virtual void end(std::function<void()> done) = 0;
};

}  // namespace sluice::unit
