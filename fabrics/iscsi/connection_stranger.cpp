#include "fabrics/iscsi/connection.hpp"

#include "actors/observe/log.hpp"

// A connection for which nobody has vouched yet, or which only discovers: its turns, its memory, how it is sent away.
namespace sluice::iscsi {

/// A stranger's memory is taken when something has come and it is its turn.
void connection::await_turn() {
  if (turn_.waiting()) return;
  mover_->await();
  facts_->bytes.store(held_by_stranger(), std::memory_order_relaxed);
}

std::uint64_t connection::held_by_stranger() const {
  return mover_->held() + mover_->unsent() + (login_ ? login_->held() : 0) + (text_ ? text_->held() : 0);
}

/// The whole of a stranger's turn happens within this call, so that it can be measured: receiving, one PDU, the answer.
void connection::take_turn() {
  now_ns_ = loop_.now_ns();
  processing_ = true;
  const bool heard_one = listens() && mover_->hear_one();
  processing_ = false;
  if (!is_stranger()) return resume();
  show_stage();
  if (heard_one && listens() && mover_->has_unread()) options_.turns->enter(turn_);
  if (mover_->has_output()) mover_->push_now();
  listen();
  if (phase_ == phase_of::leaving) maybe_finish();
}

void connection::lacks_memory() {
  if (!std::exchange(asked_for_room_, true)) options_.turns->make_room(turn_);
  wait_for_memory();
}

bool connection::has_memory_for_a_turn() {
  const std::uint64_t limit = ledger().strangers_limit(), used = ledger().strangers().used();
  std::uint64_t kept = 0;
  if (turn_.what_for() == turn_queue::purpose::other) kept = limit / 4;
  if (turn_.what_for() == turn_queue::purpose::beginning || turn_.what_for() == turn_queue::purpose::admitted)
    kept = limit / 8;
  return used - mover_->held() + bytes_of_a_turn + kept <= limit;
}

/// Says how far a stranger has come: to those who choose who has a turn, who has to go, and to the operator.
void connection::show_stage() {
  using stage = connection_facts::stage;
  stage at = stage::login;
  turn_queue::purpose of = turn_queue::purpose::other;
  if (phase_ == phase_of::full_feature) {
    at = stage::discovery;
  } else if (login_) {
    if (!login_->started()) return;
    switch (login_->how_far()) {
      case login_machine::standing::unknown:
        break;
      case login_machine::standing::admitted:
        of = turn_queue::purpose::admitted;
        break;
      case login_machine::standing::proving:
        of = turn_queue::purpose::proving;
        at = stage::authentication;
        break;
    }
  }
  options_.turns->set_purpose(turn_, of);
  if (facts_->at.exchange(at, std::memory_order_relaxed) != at && at == stage::authentication)
    options_.shared->book->proves(slot_);
}

/// Another stranger needs the memory more: this one has been about to log in for longer. Called in the midst of its
/// work.
void connection::make_way() noexcept {
  loop_.defer(give_way_);
}

void connection::give_way() noexcept {
  if (is_stranger() && phase_ != phase_of::opening) {
    SLUICE_LOG(info, "iscsi", "connection dropped for those that come after it", {"peer", facts_->peer});
    options_.shared->refused.count(refusals::gave_way);
    turn_away();
  }
  maybe_finish();
}

void connection::send_away(port::loss_reason reason) noexcept {
  const bool heard = is_stranger() && listens();
  if (heard && reason == port::loss_reason::kicked) options_.shared->refused.count(refusals::kicked);
  if (!heard || reason != port::loss_reason::connection_lost) return close(reason);
  options_.shared->refused.count(refusals::gave_way);
  turn_away();
}

void connection::break_off() {
  if (is_stranger()) options_.shared->refused.count(refusals::protocol);
  turn_away();
}

/// Ends a stranger of whom nothing good is to be expected, or whose place others need.
void connection::turn_away() {
  if (!is_stranger()) return drop(port::loss_reason::connection_lost);
  mover_->forget_output();
  lingers_ = true;
  leave(port::loss_reason::connection_lost);
}

/// Gives up all that it holds but its socket.
void connection::linger() {
  options_.turns->depart(turn_);
  ledger().forget(memory_waiter_);
  mover_->forget_input();
  login_.reset();
  text_.reset();
  options_.shared->book->lingers(slot_);
}

void connection::end_linger() {
  const turn_queue::work paid(*options_.turns);
  lingers_ = false;
  mover_->cut();
  maybe_finish();
}

}  // namespace sluice::iscsi
