#pragma once
#include <gtest/gtest.h>

#include <caf/all.hpp>
#include <memory>
#include <thread>

#include "actors/runtime/core.hpp"
#include "gateway/state/local_authority.hpp"

namespace sluice::daemon {

/// A core that a test may ask as a control thread does, and an authority over a state store that stays.
class agreed_fixture : public testing::Test {
 protected:
  ~agreed_fixture() override {
    loop_->stop();
    thread_.join();
  }
  /// As at a start of the gateway.
  void start() { authority_ = *state::local_authority::make(*state_); }
  state::authority& authority() {
    if (!authority_) start();
    return *authority_;
  }
  runtime::core& core() { return core_; }

  const std::unique_ptr<state::state_store> state_ = state::make_memory_store();

 private:
  caf::actor_system_config config_;
  caf::actor_system system_{config_};
  const std::unique_ptr<reactor::loop> loop_ = *reactor::make_loop({});
  runtime::core core_{system_, *loop_};
  std::thread thread_{[this] { loop_->run(); }};
  std::unique_ptr<state::local_authority> authority_;
};

}  // namespace sluice::daemon
