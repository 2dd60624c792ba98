#include "fabrics/iscsi/turn_queue.hpp"

#include <algorithm>

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

void turn_queue::arrive(entry& who, const std::string& address) {
  arrivals_.push(who);
  who.address_ = addresses_.try_emplace(address, 0).first;
  ++who.address_->second;
}

void turn_queue::depart(entry& who) {
  turns_.remove(who);
  forget(who);
}

void turn_queue::forget(entry& who) {
  if (!who.arrival_.linked) return;
  arrivals_.remove(who);
  if (--who.address_->second == 0) addresses_.erase(who.address_);
}

void turn_queue::enter(entry& who) {
  turns_.push(who);
  run_again();
}

void turn_queue::make_room(entry& asking) {
  const unsigned least = asking.arrival_.linked ? std::max(asking.address_->second, 2u) : 2u;
  entry* goes = arrivals_.first;
  while (goes && (goes == &asking || goes->address_->second < least)) goes = goes->arrival_.next;
  if (!goes) goes = arrivals_.first;
  if (!goes || goes == &asking) return;
  forget(*goes);
  goes->make_way();
}

void turn_queue::run_again() {
  if (queued_) return;
  itself_ = shared_from_this();
  loop_.defer(*this);
}

void turn_queue::run() noexcept {
  const std::shared_ptr<turn_queue> alive = std::move(itself_);
  const std::uint64_t until_ns = loop_.now_ns() + time_at_once_ns;
  for (unsigned i = 0; i < turns_at_once && turns_.first; ++i) {
    if (i > 0 && loop_.now_ns() >= until_ns) break;
    entry& next = *turns_.first;
    turns_.remove(next);
    next.take_turn();
  }
  if (turns_.first) run_again();
}

template struct turn_queue::list<&turn_queue::entry::turn_>;
template struct turn_queue::list<&turn_queue::entry::arrival_>;

}  // namespace sluice::iscsi
