#include "actors/reactor/blocking_pool.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>

namespace sluice::reactor {

void blocking_pool::queue::push(operation& op) {
  op.scratch.next = nullptr;
  *last = &op;
  last = &op.scratch.next;
}

operation* blocking_pool::queue::pop() {
  operation* op = first;
  if (!op) return nullptr;
  first = op->scratch.next;
  if (!first) last = &first;
  return op;
}

bool blocking_pool::queue::remove(operation& op) {
  for (operation** at = &first; *at; at = &(*at)->scratch.next) {
    if (*at != &op) continue;
    *at = op.scratch.next;
    if (!*at) last = at;
    return true;
  }
  return false;
}

blocking_pool::blocking_pool(loop& on) : on_(on) {
  if (::sched_getaffinity(0, sizeof cores_, &cores_) != 0)
    std::fill_n(reinterpret_cast<char*>(&cores_), sizeof cores_, '\xff');
}

blocking_pool::~blocking_pool() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void blocking_pool::start_thread() {
  // The process's signals are for the threads that ask for them.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  threads_.emplace_back([this] { serve(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void blocking_pool::submit(operation& op) {
  const std::lock_guard lock(mutex_);
  waiting_.push(op);
  if (++waiting_count_ > idle_ && threads_.size() < thread_limit) start_thread();
  work_.notify_one();
}

bool blocking_pool::withdraw(operation& op) {
  const std::lock_guard lock(mutex_);
  if (!waiting_.remove(op)) return false;
  --waiting_count_;
  return true;
}

void blocking_pool::serve() {
  ::pthread_setaffinity_np(::pthread_self(), sizeof cores_, &cores_);
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    work_.wait(lock, [this] { return ending_ || waiting_.first; });
    --idle_;
    if (ending_) return;
    operation& op = *waiting_.pop();
    --waiting_count_;
    const request asked = request::load(op);
    lock.unlock();
    const std::int64_t result = perform(asked);
    lock.lock();
    op.scratch.words[0] = static_cast<std::uint64_t>(result);  // the verb stays: the loop may ask for it meanwhile
    done_.push(op);
    if (std::exchange(reaper_posted_, true)) continue;
    on_.post(reaper_);
  }
}

void blocking_pool::reap() noexcept {
  queue done;
  {
    const std::lock_guard lock(mutex_);
    reaper_posted_ = false;
    done.first = std::exchange(done_.first, nullptr);
    done_.last = &done_.first;
  }
  while (operation* op = done.pop()) finish(*op, static_cast<std::int64_t>(op->scratch.words[0]));
}

}  // namespace sluice::reactor
