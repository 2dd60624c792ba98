#pragma once

namespace sluice::runtime {

/// What a core needs of a pinned actor in order to run it.
class schedulable {
 public:
  /// Queues the actor on its loop, from any thread. Takes over one strong reference that the caller has added.
  virtual void schedule() noexcept = 0;

 protected:
  ~schedulable() = default;
};

}  // namespace sluice::runtime
