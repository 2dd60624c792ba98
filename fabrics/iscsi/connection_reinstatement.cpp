#include <algorithm>

#include "actors/observe/log.hpp"
#include "fabrics/iscsi/connection.hpp"

// How the connection of a session is replaced [RFC7143 6.3.4]. The new socket logs in like any other, at whichever core
// it came to; what is left of its login then goes to the connection of the session, which stays what it is: its nexus
// belongs to its core. At error recovery level 0 nothing is known any more of what was under way on the old socket.
namespace sluice::iscsi {

/// In place of the response that ends the login, out of the turn that took the request.
void connection::hand_over() noexcept {
  if (phase_ != phase_of::opening) return move_on();
  const reactor::handle socket = mover_->offer();
  if (socket == reactor::no_handle) {  // it says more before it has heard that it may
    phase_ = phase_of::login;
    options_.shared->refused.count(refusals::protocol);
    turn_away();
    return move_on();
  }
  auto heir = std::make_shared<successor>();
  heir->handle = socket;
  heir->facts = facts_;
  heir->keys = negotiator_;
  heir->response = last_step_.response;
  heir->data = last_step_.data;
  heir->next_stat_sn = login_->next_stat_sn();
  heir->cmd_sn = login_->cmd_sn();
  if (!options_.shared->sessions.succeed(login_->reinstates(), std::move(heir))) {
    refuse_login(login_status::session_does_not_exist);
    return move_on();
  }
  mover_->give_up();
  leave(port::loss_reason::reinstated);
  move_on();
}

void connection::reinstate(std::shared_ptr<successor> heir) {
  const bool goes_on = phase_ == phase_of::full_feature || phase_ == phase_of::replaced;
  if (!goes_on) return loop_.close(heir->handle);
  if (heir_) loop_.close(heir_->handle);  // that login is given up for a newer one
  heir_ = std::move(heir);
  if (phase_ == phase_of::replaced) return;
  SLUICE_LOG(info, "iscsi", "another connection takes the place of the session's",
             {"initiator", parameters().initiator_name}, {"was", facts_->peer}, {"is", heir_->facts->peer});
  phase_ = phase_of::replaced;
  loop_.arm(timer_, options_.bounds.login_timeout_ns);
  mover_->cut();
  give_back_tasks();
  end_tasks();
  maybe_go_over();
}

/// Tasks that a unit has are aborted there; the session stays, so that nothing else of its nexus ends.
void connection::end_tasks() {
  std::vector<port::lun> units;
  for (const command* c : commands_.live())
    if (std::find(units.begin(), units.end(), c->task.lun) == units.end()) units.push_back(c->task.lun);
  for (const port::lun unit : units) ask_nexus(port::task_function::abort_task_set, unit, reserved_tag);
}

/// Goes on with the new socket when nothing is left of the old one.
void connection::maybe_go_over() {
  if (phase_ != phase_of::replaced || processing_ || !commands_.live().empty() || live_management() > 0) return;
  if (!mover_->is_idle() || again_.queued_ || on_memory_.queued_) return;
  const std::shared_ptr<successor> heir = std::exchange(heir_, nullptr);
  mover_->adopt(heir->handle);
  if (!change_places(*heir)) {
    drop(port::loss_reason::connection_lost);
    return maybe_finish();
  }
  begin_anew();
  window_.plug(heir->cmd_sn);
  negotiator_ = heir->keys;
  nexus_->reached_from(facts_->peer, parameters().describe());
  phase_ = phase_of::full_feature;
  heir->response.sn.exp_cmd_sn = window_.exp_cmd_sn();
  heir->response.sn.max_cmd_sn = window_.max_cmd_sn();
  send(heir->response, as_bytes(heir->data));
  stat_sn_ = heir->next_stat_sn;
  begin_text();
  begin_full_feature();
  mover_->push();
}

/// Enters the new socket where the old one was known; false when there is no place for it.
bool connection::change_places(const successor& heir) {
  options_.portal = heir.facts->portal;
  const std::uint64_t member = port_->sessions->join(options_.portal, close_later_);
  if (member == 0) return false;
  port_->sessions->leave(std::exchange(member_, member));
  options_.shared->book->leave(slot_);
  facts_ = heir.facts;
  slot_ = options_.shared->book->arrive(facts_, close_later_);
  if (!options_.shared->book->log_in(slot_)) return false;
  facts_->at.store(connection_facts::stage::session, std::memory_order_relaxed);
  return true;
}

/// As a connection that has received and sent nothing.
void connection::begin_anew() {
  SLUICE_CHECK(starving_.empty() && solicited_ == 0 && promised_ == 0);
  ledger().forget(memory_waiter_);
  loop_.disarm(starved_timer_);
  loop_.disarm(owed_timer_);
  loop_.disarm(management_timer_);
  hungry_since_ns_ = 0;
  probe_sent_ = false;
  vantage_.reset();
  now_ns_ = heard_ns_ = loop_.now_ns();
}

}  // namespace sluice::iscsi
