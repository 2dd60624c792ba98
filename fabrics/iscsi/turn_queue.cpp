#include "fabrics/iscsi/turn_queue.hpp"

namespace sluice::iscsi {

template <turn_queue::entry::link turn_queue::entry::*Link>
void turn_queue::list<Link>::push(entry& who) {
  if ((who.*Link).linked) return;
  who.*Link = {last, nullptr, true};
  (last ? (last->*Link).next : first) = &who;
  last = &who;
}

template <turn_queue::entry::link turn_queue::entry::*Link>
void turn_queue::list<Link>::remove(entry& who) {
  const entry::link at = who.*Link;
  if (!at.linked) return;
  who.*Link = {};
  (at.previous ? (at.previous->*Link).next : first) = at.next;
  (at.next ? (at.next->*Link).previous : last) = at.previous;
}

void turn_queue::depart(entry& who) {
  turns_.remove(who);
  arrivals_.remove(who);
}

void turn_queue::enter(entry& who) {
  turns_.push(who);
  run_again();
}

void turn_queue::make_room(entry& asking) {
  entry* const oldest = arrivals_.first;
  if (!oldest || oldest == &asking) return;
  arrivals_.remove(*oldest);
  oldest->make_way();
}

void turn_queue::run_again() {
  if (queued_) return;
  itself_ = shared_from_this();
  loop_.defer(*this);
}

void turn_queue::run() noexcept {
  const std::shared_ptr<turn_queue> alive = std::move(itself_);
  for (unsigned i = 0; i < turns_at_once && turns_.first; ++i) {
    entry& next = *turns_.first;
    turns_.remove(next);
    next.take_turn();
  }
  if (turns_.first) run_again();
}

template struct turn_queue::list<&turn_queue::entry::turn_>;
template struct turn_queue::list<&turn_queue::entry::arrival_>;

}  // namespace sluice::iscsi
