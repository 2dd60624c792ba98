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
  while (!now.empty() && count < limit) {
    now.pop()->run();
    ++count;
  }
  if (!now.empty()) {  // over the limit: the rest goes back to the front
    *now.last_ = first_;
    if (empty()) last_ = now.last_;
    first_ = now.first_;
  }
  return count;
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
