#pragma once
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "actors/reactor/offload.hpp"
#include "gateway/unit/tenure.hpp"
#include "tiers/store/store.hpp"

namespace sluice::daemon {

/// The store of a unit that gateways share. To begin and to end may block: threads do it, one thing after the other,
/// and tell the coordinator's loop.
class medium_tenure final : public unit::tenure {
 public:
  /// `changing` is held by whoever changes what runs; it and `loop` outlive this. What the store was before begins with
  /// no tenure: blocks for that.
  medium_tenure(std::string unit, std::shared_ptr<store::store> medium, reactor::loop& loop, std::mutex& changing);

  void begin(std::function<void(const result<void>&)> done) override;
  void end(std::function<void()> done) override;
  /// The same for a unit that leaves; blocks until it is done.
  void end_now();
  /// Why the unit is not served although this gateway owns it; empty: nothing is wrong. Any thread.
  std::string trouble() const;

 private:
  void enqueue(std::function<void()> what);
  void work();
  result<void> try_begin();
  void tell(const result<void>& how);

  const std::string unit_;
  const std::shared_ptr<store::store> medium_;
  reactor::loop& loop_;
  std::mutex& changing_;
  mutable std::mutex guard_;  // of what follows
  std::deque<std::function<void()>> queue_;
  bool at_work_ = false;
  std::string trouble_;
  reactor::offloaded_calls calls_;  // last: they use all of the above
};

/// Flash that was told of every write to a medium is not told of those of whoever uses the medium itself. Blocks.
result<void> forget_flash_of(store::store& medium);

}  // namespace sluice::daemon
