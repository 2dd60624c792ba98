#include "actors/reactor/offload.hpp"

#include <string_view>
#include <thread>
#include <utility>

namespace sluice::reactor {

offload offload_of(const loop& loops) {
  if (std::string_view(loops.kind()) != "simulated") return {};
  return [](const std::function<void()>& call) { call(); };
}

offloaded_calls::~offloaded_calls() {
  std::unique_lock lock(guard_);
  fewer_.wait(lock, [&] { return threads_ == 0; });
}

void offloaded_calls::run(std::function<void()> call) {
  if (offload_) return offload_(std::move(call));
  {
    const std::lock_guard lock(guard_);
    ++threads_;
  }
  std::thread([this, call = std::move(call)]() mutable {
    call();
    call = {};
    const std::lock_guard lock(guard_);
    --threads_;
    fewer_.notify_all();
  }).detach();
}

}  // namespace sluice::reactor
