#pragma once
#include <memory>
#include <string>
#include <utility>

#include "actors/reactor/simulated.hpp"
#include "tiers/store/contract_setup.hpp"

namespace sluice::store::contract {

/// One gateway in a simulated world; the same seed gives the same history.
class simulated_world final : public world {
 public:
  explicit simulated_world(std::uint64_t seed) : world_(seed), loop_(world_.make_loop(0)) {}
  reactor::loop& loop() override { return *loop_; }
  void run() override { loop_->run(); }
  void finish() noexcept override { loop_->stop(); }
  reactor::sim_world& sim() { return world_; }
  void restart() {
    loop_.reset();
    loop_ = world_.make_loop(0);
  }

 private:
  reactor::sim_world world_;
  std::unique_ptr<reactor::loop> loop_;
};

/// A store in a simulated world.
class simulated_setup final : public setup {
 public:
  simulated_setup(std::uint64_t seed, real_setup::opener open_store) : world_(seed), open_(std::move(open_store)) {}
  world& where() override { return world_; }
  std::shared_ptr<store> open(std::uint64_t size_bytes) override {
    auto opened = open_(world_.loop(), folder_, size_bytes);
    if (opened) return *opened;
    ADD_FAILURE() << opened.error().message;
    return nullptr;
  }

 private:
  simulated_world world_;
  temporary_folder folder_;  // for its name only: the simulated disk is in memory
  real_setup::opener open_;
};

inline subject simulated_subject(std::string name, real_setup::opener open_store) {
  return {std::move(name), [open_store] { return std::make_unique<simulated_setup>(11, open_store); }};
}

}  // namespace sluice::store::contract
