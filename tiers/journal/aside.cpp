#include "tiers/journal/aside.hpp"

#include <string_view>
#include <thread>
#include <utility>

namespace sluice::journal {

aside aside_for(const reactor::loop& loops) {
  if (std::string_view(loops.kind()) != "simulated") return {};
  return [](const std::function<void()>& call) { call(); };
}

aside_calls::~aside_calls() {
  std::unique_lock lock(guard_);
  fewer_.wait(lock, [&] { return threads_ == 0; });
}

void aside_calls::run(std::function<void()> call) {
  if (elsewhere_) return elsewhere_(std::move(call));
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

}  // namespace sluice::journal
