#include "ceph/cluster/pulse.hpp"

#include <utility>

namespace sluice::cluster {

pulse::pulse(std::chrono::milliseconds period) : period_(period), thread_([this] { work(); }) {}

pulse::~pulse() {
  {
    const std::lock_guard lock(guard_);
    ended_ = true;
    ending_.notify_one();
  }
  thread_.join();
}

void pulse::add(const void* who, std::function<void()> beat) {
  const std::lock_guard lock(guard_);
  beats_[who] = std::move(beat);
}

void pulse::remove(const void* who) {
  const std::lock_guard lock(guard_);
  beats_.erase(who);
}

void pulse::work() {
  std::unique_lock lock(guard_);
  while (!ending_.wait_for(lock, period_, [this] { return ended_; }))
    for (const auto& [who, beat] : beats_) beat();
}

}  // namespace sluice::cluster
