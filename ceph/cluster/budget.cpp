#include "ceph/cluster/budget.hpp"

#include <algorithm>
#include <utility>

namespace sluice::cluster {

bool budget::take(std::uint64_t operations, std::uint64_t octets) noexcept {
  operations = std::min(operations, operations_limit_);
  octets = std::min(octets, bytes_limit_);
  if (operations_.fetch_add(operations) + operations <= operations_limit_) {
    if (bytes_.fetch_add(octets) + octets <= bytes_limit_) return true;
    bytes_.fetch_sub(octets);
  }
  operations_.fetch_sub(operations);
  return false;
}

void budget::give_back(std::uint64_t operations, std::uint64_t octets) noexcept {
  operations_.fetch_sub(std::min(operations, operations_limit_));
  bytes_.fetch_sub(std::min(octets, bytes_limit_));
  if (waiting_.load() == 0) [[likely]]
    return;
  const std::lock_guard lock(guard_);
  if (waiters_.empty()) return;
  const waiter first = std::move(waiters_.front());
  waiters_.pop_front();
  waiting_.store(waiters_.size());
  first.wake();
}

void budget::wait(const void* who, std::function<void()> wake) {
  const std::lock_guard lock(guard_);
  if (std::any_of(waiters_.begin(), waiters_.end(), [who](const waiter& w) { return w.who == who; })) return;
  waiters_.push_back({who, std::move(wake)});
  waiting_.store(waiters_.size());
}

void budget::leave(const void* who) {
  const std::lock_guard lock(guard_);
  std::erase_if(waiters_, [who](const waiter& w) { return w.who == who; });
  waiting_.store(waiters_.size());
}

}  // namespace sluice::cluster
