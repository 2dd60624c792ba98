#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway/daemon/gateway.hpp"
#include "gateway/daemon/registrations.hpp"
#include "gateway/state/state_store.hpp"
#include "tests/sim/machine_actor.hpp"

namespace sluice::fabrics {

/// A whole gateway on real loops with a thread each: what crosses cores there does so for real.
class live_gateway {
 public:
  static constexpr unsigned cores = 2;

  /// One target, "main", with a RAM disk of 8 MiB as LUN 0 behind these ports, open to all.
  explicit live_gateway(std::vector<config::port_config> ports, unsigned cores_wanted = cores) {
    daemon::register_everything(stores_, fabrics_);
    std::vector<runtime::core*> all;
    for (unsigned i = 0; i < cores_wanted; ++i) {
      loops.push_back(reactor::make_loop({.index = i, .buffer_bytes = 64 * mib, .spin_ns = 0}).value());
      cores_.push_back(std::make_unique<runtime::core>(actors_.system(), *loops.back()));
      all.push_back(cores_.back().get());
      threads_.emplace_back([on = loops.back().get()] { on->run(); });
    }
    gateway_ = daemon::gateway::make({all, *state_, stores_, fabrics_, {}, {}}).value();
    add_unit("ram", 8 * mib);
    config::target_config target;
    target.name = "main";
    target.luns = {{0, "ram", {}}};
    target.open = true;
    target.ports = std::move(ports);
    model.targets = {target};
    apply();
  }
  ~live_gateway() {
    stop();
    gateway_.reset();
    while (actors_.system().registry().running() > 0) std::this_thread::yield();
    for (const auto& each : loops) each->stop();
    for (std::thread& each : threads_) each.join();
    cores_.clear();
  }
  void stop() { gateway_->stop(); }
  void apply() {
    const auto applied = gateway_->apply(model);
    EXPECT_TRUE(applied) << (applied ? "" : applied.error().message);
  }
  void add_unit(const std::string& name, std::uint64_t size) {
    config::store_config ram{name, "ram", {}, "", {}};
    ram.settings.set("size", size);
    model.stores.push_back(ram);
    config::unit_config unit;
    unit.name = unit.store = name;
    model.units.push_back(unit);
  }
  daemon::gateway& gateway() { return *gateway_; }

  std::vector<std::unique_ptr<reactor::loop>> loops;
  config::model model;  // what apply() puts in force

 private:
  sim::actors actors_;
  store::registry stores_;
  port::registry fabrics_;
  std::unique_ptr<state::state_store> state_ = state::make_memory_store();
  std::vector<std::unique_ptr<runtime::core>> cores_;
  std::vector<std::thread> threads_;
  std::unique_ptr<daemon::gateway> gateway_;
};

inline bool eventually(const std::function<bool()>& so) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!so() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return so();
}

}  // namespace sluice::fabrics
