#pragma once
#include <functional>
#include <memory>
#include <utility>

#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

/// A function on its way to a loop; frees itself when it ran.
class posted_function final : public runnable {
 public:
  explicit posted_function(std::function<void()> work) : work_(std::move(work)) {}
  void run() noexcept override {
    const std::unique_ptr<posted_function> self(this);
    work_();
  }

 private:
  std::function<void()> work_;
};

}  // namespace sluice::reactor
