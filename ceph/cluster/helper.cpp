#include "ceph/cluster/helper.hpp"

#include <unistd.h>

#include <cstdlib>
#include <thread>

namespace sluice::cluster {
namespace {

/// How many threads there are whose helper was dropped.
struct census {
  std::mutex guard;
  std::condition_variable fewer;
  std::size_t threads = 0;
};
census& leaving() {
  static census all;
  return all;
}

}  // namespace

helper::helper() {
  std::thread([shared = state_] { work(shared); }).detach();
}

helper::~helper() {
  {
    const std::lock_guard lock(leaving().guard);
    ++leaving().threads;
  }
  const std::lock_guard lock(state_->guard);
  state_->dropped = true;
  state_->changed.notify_one();
}

void helper::run(std::function<void()> job) {
  const std::lock_guard lock(state_->guard);
  state_->jobs.push_back(std::move(job));
  state_->changed.notify_one();
}

void helper::work(const std::shared_ptr<state>& shared) {
  std::unique_lock lock(shared->guard);
  for (;;) {
    shared->changed.wait(lock, [&] { return shared->dropped || !shared->jobs.empty(); });
    if (shared->jobs.empty()) break;
    {
      const std::function<void()> job = std::move(shared->jobs.front());
      shared->jobs.pop_front();
      lock.unlock();
      job();
    }
    lock.lock();
  }
  lock.unlock();
  const std::lock_guard count(leaving().guard);
  --leaving().threads;
  leaving().fewer.notify_all();
}

bool helper::wait_for_dropped(std::chrono::nanoseconds limit) {
  std::unique_lock lock(leaving().guard);
  return leaving().fewer.wait_for(lock, limit, [] { return leaving().threads == 0; });
}

void leave_stuck_helpers_behind() {
  static const bool arranged = ::on_exit([](int status, void*) { ::_exit(status); }, nullptr) == 0;
  (void)arranged;
}

}  // namespace sluice::cluster
