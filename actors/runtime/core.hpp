#pragma once
#include <functional>
#include <memory>

#include "actors/reactor/loop.hpp"

namespace caf {
class actor_system;
class execution_unit;
}  // namespace caf

/// Where CAF's actors meet our event loops. Only this room touches CAF's semi-internal hooks.
namespace sluice::runtime {

/// How a control thread waits for the loops: empty on real loops, which have threads of their own; in the simulator,
/// one step of the world.
using let_run = std::function<void()>;

/// One core: an event loop together with the CAF execution unit that pinned actors run on. The loop outlives the core,
/// the core outlives its actors. Needs no CAF header, so that fabrics can name it.
class core {
 public:
  core(caf::actor_system& system, reactor::loop& loop, let_run wait = {});
  ~core();
  core(const core&) = delete;
  core& operator=(const core&) = delete;

  reactor::loop& loop() noexcept { return loop_; }
  caf::actor_system& system() noexcept { return system_; }
  caf::execution_unit& unit() noexcept;

  /// Runs `work` on the loop's thread and returns when it has finished. From control threads only, never from a loop's
  /// own handlers.
  void call(const std::function<void()>& work);
  /// Runs `start` on the loop's thread and returns when the callback that it was given has been called, once, from any
  /// thread. From control threads only.
  void call_async(const std::function<void(std::function<void()> finished)>& start);

 private:
  class unit_adapter;
  caf::actor_system& system_;
  reactor::loop& loop_;
  let_run wait_;
  std::unique_ptr<unit_adapter> adapter_;
};

/// Lets a control thread wait for a callback.
class latch {
 public:
  explicit latch(let_run wait = {});
  /// A callback that opens the latch; any thread; may outlive the latch.
  std::function<void()> opener() const;
  void wait() const;

 private:
  struct state;
  std::shared_ptr<state> state_;
  let_run wait_;
};

}  // namespace sluice::runtime
