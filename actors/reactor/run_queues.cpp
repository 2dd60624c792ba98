#include "actors/reactor/run_queues.hpp"

#include <utility>

namespace sluice::reactor {

runnable* run_list::pop() {
  runnable* work = first_;
  first_ = work->next_;
  if (!first_) last_ = &first_;
  work->next_ = nullptr;
  work->queued_ = false;
  return work;
}

unsigned run_list::run(unsigned limit) noexcept {
  if (empty()) return 0;
  run_list now;
  now.first_ = std::exchange(first_, nullptr);
  now.last_ = std::exchange(last_, &first_);
  unsigned count = 0;
  running_ = &now;
  while (!now.empty() && count < limit) {
    now.pop()->run();
    ++count;
  }
  running_ = nullptr;
  if (!now.empty()) {  // over the limit: the rest goes back to the front
    *now.last_ = first_;
    if (empty()) last_ = now.last_;
    first_ = now.first_;
  }
  return count;
}

bool run_list::remove(runnable& work) noexcept {
  for (runnable** link = &first_; *link; link = &(*link)->next_) {
    if (*link != &work) continue;
    *link = std::exchange(work.next_, nullptr);
    if (!*link) last_ = link;
    work.queued_ = false;
    return true;
  }
  return running_ && running_->remove(work);
}

void run_list::clear() noexcept {
  while (!empty()) pop();
}

void completion_list::push(operation& op, std::int64_t result) {
  op.scratch.next = nullptr;
  op.scratch.words[3] = static_cast<std::uint64_t>(result);
  *last_ = &op;
  last_ = &op.scratch.next;
}

unsigned completion_list::run() noexcept {
  operation* op = std::exchange(first_, nullptr);
  last_ = &first_;
  unsigned count = 0;
  while (op) {
    operation* next = op->scratch.next;
    finish(*op, static_cast<std::int64_t>(op->scratch.words[3]));
    op = next;
    ++count;
  }
  return count;
}

void completion_list::clear() noexcept {
  for (operation* op = std::exchange(first_, nullptr); op; op = op->scratch.next) op->in_flight_ = false;
  last_ = &first_;
}

}  // namespace sluice::reactor
