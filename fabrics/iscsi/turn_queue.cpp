#include "fabrics/iscsi/turn_queue.hpp"

namespace sluice::iscsi {

void turn_queue::enter(entry& who) {
  if (who.waiting_) return;
  who.waiting_ = true;
  who.previous_ = last_;
  who.next_ = nullptr;
  (last_ ? last_->next_ : first_) = &who;
  last_ = &who;
  run_again();
}

void turn_queue::leave(entry& who) {
  if (!who.waiting_) return;
  who.waiting_ = false;
  (who.previous_ ? who.previous_->next_ : first_) = who.next_;
  (who.next_ ? who.next_->previous_ : last_) = who.previous_;
}

void turn_queue::run_again() {
  if (queued_) return;
  itself_ = shared_from_this();
  loop_.defer(*this);
}

void turn_queue::run() noexcept {
  const std::shared_ptr<turn_queue> alive = std::move(itself_);
  for (unsigned i = 0; i < turns_at_once && first_; ++i) {
    entry& next = *first_;
    leave(next);
    next.take_turn();
  }
  if (first_) run_again();
}

}  // namespace sluice::iscsi
