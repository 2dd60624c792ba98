#include "fabrics/iscsi/connection.hpp"

#include "actors/observe/log.hpp"

// A connection for which nobody has vouched yet, or which only discovers: its turns, its memory, how it is sent away.
namespace sluice::iscsi {

/// A stranger's memory is taken when something has come and it is its turn.
void connection::await_turn() {
  if (readable_.in_flight() || turn_.waiting() || starved_ || !out_.empty()) return;  // one answer at a time
  if (in_.unread().empty()) in_.clear();
  facts_->bytes.store(held_by_stranger(), std::memory_order_relaxed);
  loop_.wait_readable(readable_, handle_);
}

std::uint64_t connection::held_by_stranger() const {
  return in_.held() + out_.octets() + (login_ ? login_->held() : 0) + (text_ ? text_->held() : 0);
}

/// The whole of a stranger's turn happens within this call, so that it can be measured: receiving, one PDU, the answer.
void connection::take_turn() {
  now_ns_ = loop_.now_ns();
  processing_ = true;
  const bool heard = listens() && !starved_ && hear_one();
  processing_ = false;
  if (!is_stranger()) return resume();
  show_stage();
  if (heard && listens() && !in_.unread().empty()) options_.turns->enter(turn_);
  if (!out_.empty()) flush();
  arm_receive();
  if (phase_ == phase_of::leaving) maybe_finish();
}

/// Deals with one PDU; false when it is not all here.
bool connection::hear_one() {
  if (process()) return true;
  if (!listens() || starved_) return false;
  if (!has_memory_for_a_turn() || !in_.prepare(wanted_)) {
    starved_ = true;
    if (!std::exchange(asked_for_room_, true)) options_.turns->make_room(turn_);
    wait_for_memory();
    return false;
  }
  asked_for_room_ = false;
  const std::int64_t got = loop_.receive_now(handle_, in_.room(UINT32_MAX));
  if (got == -EAGAIN) return false;
  if (got <= 0) {
    drop(port::loss_reason::connection_lost);
    return false;
  }
  heard_ns_ = now_ns_;
  probe_sent_ = false;
  in_.filled(static_cast<std::uint32_t>(got));
  return process();
}

/// Some of the strangers' memory is kept for logins that have come further.
bool connection::has_memory_for_a_turn() {
  const std::uint64_t limit = ledger().strangers_limit(), used = ledger().strangers().used();
  std::uint64_t kept = 0;
  if (turn_.what_for() == turn_queue::purpose::other) kept = limit / 4;
  if (turn_.what_for() == turn_queue::purpose::beginning || turn_.what_for() == turn_queue::purpose::admitted)
    kept = limit / 8;
  return used - in_.held() + bytes_of_a_turn + kept <= limit;
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

/// Ends a stranger of whom nothing good is to be expected, or whose place others need.
void connection::turn_away() {
  if (!is_stranger()) return drop(port::loss_reason::connection_lost);
  out_.clear();
  lingers_ = true;
  leave(port::loss_reason::connection_lost);
}

/// Gives up all that it holds but its socket.
void connection::linger() {
  options_.turns->depart(turn_);
  ledger().forget(memory_waiter_);
  in_.clear();
  login_.reset();
  text_.reset();
  options_.shared->book->lingers(slot_);
}

void connection::end_linger() {
  const turn_queue::work paid(*options_.turns);
  lingers_ = false;
  abandon_output();
  maybe_finish();
}

}  // namespace sluice::iscsi
