#pragma once
#include <memory>
#include <thread>
#include <vector>

#include "actors/base/result.hpp"
#include "actors/runtime/core.hpp"

namespace sluice::daemon {

struct machine_options {
  unsigned reactors = 0;      // 0: one per core that this process may use
  std::vector<unsigned> pin;  // cores to pin to, in order; empty: do not pin
  reactor::backend backend = reactor::backend::automatic;
  std::uint64_t buffer_bytes = 256 * mib;  // of each reactor
  /// A little longer than a round trip of one command on loopback: what decides the latency at queue depth 1. A loop
  /// whose spins are in vain spins more and more seldom, so that this costs an idle gateway nothing.
  std::uint64_t spin_ns = 50 * ns_per_us;
};

/// The real hardware under a gateway: event loops on threads of their own, and the actor system. Starts at construction
/// by start(); stop() when every actor has ended.
class machine {
 public:
  static result<std::unique_ptr<machine>> start(const machine_options& options);
  ~machine();

  const std::vector<runtime::core*>& cores() const { return core_pointers_; }
  /// CPU seconds that reactor `index` has used.
  double cpu_seconds(unsigned index) const;

 private:
  struct actors;
  machine();
  std::unique_ptr<actors> actors_;
  std::vector<std::unique_ptr<reactor::loop>> loops_;
  std::vector<std::unique_ptr<runtime::core>> cores_;
  std::vector<runtime::core*> core_pointers_;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::daemon
