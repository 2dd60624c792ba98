#include "ceph/cluster/helper.hpp"

#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <utility>

namespace sluice::cluster {
namespace {

/// What may be inside the library, of all helpers: jobs that were given and are not gone, and threads whose helper was
/// dropped. A job counts until what it holds is destroyed, too: that may be the last of a connection.
struct census {
  std::mutex guard;
  std::condition_variable fewer;
  std::size_t busy = 0;

  void more() {
    const std::lock_guard lock(guard);
    ++busy;
  }
  void less(std::size_t by) {
    const std::lock_guard lock(guard);
    busy -= by;
    fewer.notify_all();
  }
};
census& all() {
  static census counted;
  return counted;
}

}  // namespace

helper::helper() {
  std::thread([shared = state_] { work(shared); }).detach();
}

/// These two with the guard held.
void helper::state::count() {
  if (abandoned) return;
  ++counted;
  all().more();
}
void helper::state::uncount() {
  if (abandoned) return;
  --counted;
  all().less(1);
}

helper::~helper() {
  const std::lock_guard lock(state_->guard);
  state_->count();
  state_->dropped = true;
  state_->changed.notify_one();
}

void helper::run(std::function<void()> job) {
  const std::lock_guard lock(state_->guard);
  state_->count();
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
    shared->uncount();
  }
  shared->uncount();
}

void helper::abandon() {
  const std::lock_guard lock(state_->guard);
  state_->abandoned = true;
  all().less(std::exchange(state_->counted, 0));
}

bool helper::wait_until_none_is_busy(std::chrono::nanoseconds limit) {
  std::unique_lock lock(all().guard);
  return all().fewer.wait_for(lock, limit, [] { return all().busy == 0; });
}

void leave_stuck_helpers_behind() {
  static const bool arranged = ::on_exit([](int status, void*) { ::_exit(status); }, nullptr) == 0;
  (void)arranged;
}

}  // namespace sluice::cluster
