#include "fabrics/rdma/send_queue.hpp"

#include <algorithm>
#include <utility>

namespace sluice::rdma {

void send_queue::push(transfer& t, lane by) {
  SLUICE_CHECK(!stopped_ && !t.chain.empty() && t.in_flight_ == 0);
  t.queue_ = this;
  t.posted_ = 0;
  t.worst_ = outcome::done;
  (by == lane::message ? messages_ : data_).push_back(&t);
  pump();
}

void send_queue::pump() {
  post(messages_, 0);
  post(data_, reserved_);
}

void send_queue::post(waiting& from, std::uint32_t leaves_free) {
  while (!from.empty()) {
    transfer& next = *from.front();
    const std::uint32_t room = connection_.send_room();
    if (room <= leaves_free) return;
    const std::size_t count = std::min<std::size_t>(room - leaves_free, next.chain.size() - next.posted_);
    const std::size_t first = std::exchange(next.posted_, next.posted_ + count);
    ++next.in_flight_;
    if (next.posted_ == next.chain.size()) from.pop_front();
    connection_.send(next, std::span(next.chain).subspan(first, count));
  }
}

bool send_queue::cut(transfer& t) {
  std::erase(messages_, &t);
  std::erase(data_, &t);
  t.chain.resize(t.posted_);
  return t.in_flight_ > 0;
}

void send_queue::stop() {
  stopped_ = true;
  for (waiting* const all : {&messages_, &data_})
    for (transfer* const each : std::exchange(*all, {})) {
      each->chain.resize(each->posted_);
      each->worst_ = outcome::flushed;
      if (each->in_flight_ == 0) each->on_end(outcome::flushed);
    }
}

void transfer::on_done(outcome how, std::uint32_t) noexcept {
  if (worst_ == outcome::done) worst_ = how;
  --in_flight_;
  send_queue& queue = *queue_;
  if (in_flight_ == 0 && posted_ == chain.size()) on_end(worst_);  // the transfer may be used again
  queue.pump();
}

}  // namespace sluice::rdma
