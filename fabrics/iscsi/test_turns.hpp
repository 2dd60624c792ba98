#pragma once
#include "actors/reactor/loop.hpp"

namespace sluice::iscsi {

/// Counts turns of a loop while it is at work.
struct turn_counter final : reactor::runnable {
  explicit turn_counter(reactor::loop& of) : loop(of) {
    loop.post([this] { loop.defer(*this); });
  }
  void run() noexcept override {
    ++turns;
    if (!over) loop.defer(*this);
  }
  reactor::loop& loop;
  unsigned turns = 0;
  bool over = false;
};

}  // namespace sluice::iscsi
