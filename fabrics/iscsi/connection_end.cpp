#include "fabrics/iscsi/connection.hpp"

// How a connection ends: what waits for its data is given back, the nexus closes, what is queued leaves.
namespace sluice::iscsi {

namespace {
constexpr std::uint64_t farewell_ns = 5 * ns_per_s;  // for the last answers to leave
}

void connection::close(port::loss_reason reason) noexcept {
  if (phase_ == phase_of::ended) return;
  if (lingers_) return end_linger();
  const bool polite = reason != port::loss_reason::connection_lost && reason != port::loss_reason::reinstated;
  if (polite && phase_ == phase_of::leaving) return;  // the last answers are on their way
  if (phase_ == phase_of::full_feature && polite) {
    async_message farewell;
    farewell.event = async_event::session_dropped;  // Parameter2/3: when and how long it may try again
    farewell.parameter2 = static_cast<std::uint16_t>(parameters().default_time2wait);
    farewell.sn = next_numbers();
    send(farewell);
    leave(reason);
  } else {
    drop(reason);
  }
  maybe_finish();
}

/// Takes nothing more in; what is queued still leaves.
void connection::leave(port::loss_reason reason) {
  if (phase_ == phase_of::leaving || phase_ == phase_of::ended) return;
  phase_ = phase_of::leaving;
  reason_ = reason;
  loop_.arm(timer_, lingers_ ? linger_ns : farewell_ns);
  if (tsih_ != 0) options_.shared->sessions.end(tsih_);
  if (heir_) loop_.close(std::exchange(heir_, nullptr)->handle);
  give_back_tasks();
  if (nexus_)
    close_nexus(reason);
  else
    send_goodbye();
  mover_->push();
}

void connection::drop(port::loss_reason reason) {
  if (phase_ != phase_of::ended) mover_->cut();
  leave(reason);
}

void connection::close_nexus(port::loss_reason reason) {
  if (!nexus_ || nexus_closing_) return;
  nexus_closing_ = true;
  nexus_->close(reason, [this] { nexus_closed(); });
}

void connection::nexus_closed() {
  nexus_.reset();
  send_goodbye();
  maybe_finish();
}

/// A logout is answered when nothing of the session is left [RFC7143 11.14].
void connection::send_goodbye() {
  if (!logout_ || mover_->is_cut()) return;
  logout_response bye;
  bye.initiator_task_tag = logout_->initiator_task_tag;
  bye.time2wait = static_cast<std::uint16_t>(parameters().default_time2wait);
  bye.sn = next_numbers();
  send(bye);
  logout_.reset();
}

/// Returns every task that waits for its data, and forgets those that the core never saw.
void connection::give_back_tasks() {
  starving_.clear();
  parked_.clear();
  std::vector<command*> all = commands_.live();
  for (command* c : all) {
    c->end = command::fate::silent;
    mover_->forget(*c);
    switch (c->where()) {
      case command::stage::gathering:
        if (!c->immediate) c->slot_freed = true;  // its number was never taken
        release(*c);
        break;
      case command::stage::ended:
        release(*c);
        break;
      case command::stage::at_unit:
        break;
      case command::stage::fetching:
        answer_fetch(*c, port::transfer_end::failed);
        break;
      case command::stage::sending:
        answer_put(*c, port::transfer_end::failed);
        break;
    }
  }
  drop_management();
}

void connection::maybe_finish() {
  if (phase_ != phase_of::leaving || processing_ || opening_ || nexus_ || !commands_.live().empty()) return;
  if (live_management() > 0) return;  // the core will still answer them
  if (!mover_->is_drained()) return;
  if (lingers_) return linger();
  mover_->shut();
  options_.turns->depart(turn_);
  ledger().forget(memory_waiter_);
  if (!mover_->is_idle() || again_.queued_ || on_memory_.queued_ || give_way_.queued_ || hand_over_.queued_) return;
  phase_ = phase_of::ended;
  loop_.disarm(timer_);
  loop_.disarm(starved_timer_);
  loop_.disarm(owed_timer_);
  loop_.disarm(penalty_timer_);
  loop_.disarm(management_timer_);
  mover_->close();
  if (member_ != 0) port_->sessions->leave(member_);
  if (tsih_ != 0) options_.shared->sessions.release(tsih_);
  loop_.defer(finish_);
}

void connection::finish() noexcept {
  const std::function<void()> ended = std::move(ended_);
  ended();
}

}  // namespace sluice::iscsi
