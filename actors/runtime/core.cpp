#include "actors/runtime/core.hpp"

#include <caf/actor_system.hpp>
#include <caf/execution_unit.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <condition_variable>
#include <mutex>

#include "actors/runtime/schedulable.hpp"

namespace sluice::runtime {

/// CAF hands an execution unit everything that an actor running on it wakes up. Pinned actors say io_actor, as CAF's
/// own brokers do; anything else belongs to the pool, or it would start running on the event loop.
class core::unit_adapter final : public caf::execution_unit {
 public:
  explicit unit_adapter(caf::actor_system& system) : caf::execution_unit(&system) {}
  void exec_later(caf::resumable* work) override {
    if (work->subtype() == caf::resumable::io_actor)
      dynamic_cast<schedulable&>(*work).schedule();
    else
      system().scheduler().enqueue(work);
  }
};

core::core(caf::actor_system& system, reactor::loop& loop, let_run wait)
    : system_(system), loop_(loop), wait_(std::move(wait)), adapter_(std::make_unique<unit_adapter>(system)) {}
core::~core() = default;

caf::execution_unit& core::unit() noexcept {
  return *adapter_;
}

void core::call(const std::function<void()>& work) {
  call_async([&work](const std::function<void()>& finished) {
    work();
    finished();
  });
}

void core::call_async(const std::function<void(std::function<void()>)>& start) {
  const latch done(wait_);
  loop_.post([&start, open = done.opener()] { start(open); });
  done.wait();
}

struct latch::state {
  std::mutex lock;
  std::condition_variable opened;
  bool is_open = false;
};

latch::latch(let_run wait) : state_(std::make_shared<state>()), wait_(std::move(wait)) {}

std::function<void()> latch::opener() const {
  return [kept = state_] {
    const std::lock_guard guard(kept->lock);
    kept->is_open = true;
    kept->opened.notify_all();
  };
}

void latch::wait() const {
  std::unique_lock guard(state_->lock);
  while (!state_->is_open) {
    if (!wait_) {
      state_->opened.wait(guard);
      continue;
    }
    guard.unlock();
    wait_();
    guard.lock();
  }
}

}  // namespace sluice::runtime
