#pragma once
#include <memory>

#include "actors/reactor/simulated.hpp"
#include "gateway/state/state_store.hpp"

namespace sluice::sim {

/// The state store as one run of a gateway has it: changes take simulated time, and those under way when the power is
/// lost did not happen. What is below outlives the runs.
class lasting_state final : public state::state_store {
 public:
  lasting_state(reactor::sim_world& world, state::state_store& below) : world_(world), below_(below) {}

  void power_lost() { *powered_ = false; }

  result<std::optional<std::string>> load(std::string_view key) override { return below_.load(key); }
  result<void> save(std::string key, std::string value) override {
    return *powered_ ? below_.save(std::move(key), std::move(value)) : no_power();
  }
  void change(std::vector<state::update> updates, reactor::loop& on, state::durable done) override {
    later(on, std::move(done), [this, updates = std::move(updates), &on] {
      below_.change(updates, on, [](const result<void>&) {});
      return result<void>{};
    });
  }

 private:
  static result<void> no_power() { return fail(errc::closed, "the power is gone"); }
  void later(reactor::loop& on, state::durable done, std::function<result<void>()> change) {
    // In the order of the calls, as the seam says.
    ready_ns_ = std::max(ready_ns_ + 1, world_.now_ns() + world_.draw(world_.options().disk_latency_ns));
    world_.at(ready_ns_, [powered = powered_, &on, done = std::move(done), change = std::move(change)] {
      const result<void> outcome = *powered ? change() : no_power();
      on.post([done, outcome] { done(outcome); });
    });
  }

  reactor::sim_world& world_;
  state::state_store& below_;
  std::uint64_t ready_ns_ = 0;
  std::shared_ptr<bool> powered_ = std::make_shared<bool>(true);
};

}  // namespace sluice::sim
