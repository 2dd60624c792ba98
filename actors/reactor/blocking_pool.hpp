#pragma once
#include <sched.h>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "actors/reactor/files.hpp"
#include "actors/reactor/loop_base.hpp"

namespace sluice::reactor {

/// At most two threads of a loop that execute file requests with blocking calls: what a ring has no opcode for, and
/// everything on files where there is no ring. The threads start with the first request and run on any core.
class blocking_pool {
 public:
  explicit blocking_pool(loop& on);
  ~blocking_pool();
  blocking_pool(const blocking_pool&) = delete;
  blocking_pool& operator=(const blocking_pool&) = delete;

  /// Executes the request in the operation's scratch; completes it on the loop.
  void submit(operation& op);
  /// Takes back a request that no thread has begun; false when it is too late.
  bool withdraw(operation& op);

 private:
  static constexpr std::size_t thread_limit = 2;

  struct queue {
    operation* first = nullptr;
    operation** last = &first;
    void push(operation& op);
    operation* pop();
    bool remove(operation& op);
  };

  void serve();
  void start_thread();
  void reap() noexcept;

  loop& on_;
  cpu_set_t cores_;  // those of the process, not the one that the loop is pinned to
  member_runnable<blocking_pool, &blocking_pool::reap> reaper_{*this};
  std::mutex mutex_;
  std::condition_variable work_;
  queue waiting_;
  queue done_;
  std::size_t waiting_count_ = 0;
  std::size_t idle_ = 0;
  bool reaper_posted_ = false;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace sluice::reactor
