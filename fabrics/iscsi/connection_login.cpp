#include "fabrics/iscsi/connection.hpp"

#include <algorithm>
#include <cstdio>

#include "actors/observe/log.hpp"

// From the first Login Request to the nexus, and what discovery answers.
namespace sluice::iscsi {

namespace {

std::string isid_text(std::uint64_t isid) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%012llx", static_cast<unsigned long long>(isid));
  return text;
}

}  // namespace

login_world connection::world() {
  login_world world;
  world.find = [this](const std::string& target_name) {
    return options_.shared->board.now()->find(options_.portal, target_name);
  };
  world.check = [this](const port::port_id& port, const std::string& initiator) {
    return gateway_.check(port, initiator);
  };
  world.discovery = [this](const std::string& initiator) -> std::shared_ptr<const port::credentials> {
    for (const served_port_ptr& port : options_.shared->board.now()->at(options_.portal))
      if (const auto access = gateway_.check(port->id, initiator); access && access->credentials)
        return access->credentials;
    return nullptr;
  };
  world.discovery_must_prove = [this] {
    const auto& ports = options_.shared->board.now()->at(options_.portal);
    return std::any_of(ports.begin(), ports.end(), [](const served_port_ptr& port) { return port->discovery_chap; });
  };
  world.session_of = [this](std::uint16_t tsih) { return options_.shared->sessions.find(tsih); };
  world.session_exists = [this](std::uint16_t tsih) { return options_.shared->sessions.exists(tsih); };
  world.random = [this](bytes into) {
    for (std::uint8_t& octet : into) octet = static_cast<std::uint8_t>(loop_.random() >> 24);
  };
  return world;
}

void connection::take_login(const login_request& request, const_bytes data) {
  last_step_ = login_->take(request, data);
  const std::uint64_t penalty = penalty_ns();
  if (penalty == 0) return answer_login();
  phase_ = phase_of::opening;
  loop_.arm(penalty_timer_, penalty);
}

/// How long the answer waits because secrets have been guessed.
std::uint64_t connection::penalty_ns() {
  if (login_->proved() == login_machine::proof::none) return 0;
  const bool right = login_->proved() == login_machine::proof::right;
  return options_.shared->guesses->delay_ns(facts_->address, login_->parameters().initiator_name, right, now_ns_);
}

void connection::on_penalty_over() noexcept {
  if (phase_ != phase_of::opening) return;
  phase_ = phase_of::login;
  answer_login();
  resume();
}

void connection::answer_login() {
  if (last_step_.verdict != login_verdict::done) return send_login(last_step_);
  negotiator_ = login_->keys();
  port_ = login_->port();
  if (login_->reinstates() != 0) {
    phase_ = phase_of::opening;
    return loop_.defer(hand_over_);
  }
  if (parameters().discovery) return finish_login();
  open_nexus();
}

void connection::send_login(login_step& step) {
  // A discovery session asks one thing after the other.
  const std::uint32_t depth = login_->parameters().discovery ? 1 : options_.bounds.max_tasks_per_nexus;
  step.response.sn.max_cmd_sn = step.response.sn.exp_cmd_sn + depth - 1;
  send(step.response, as_bytes(step.data));
  if (step.verdict == login_verdict::failed) {
    const session_parameters& asked = login_->parameters();
    options_.shared->refused.count(step.response.status);
    SLUICE_LOG(warning, "iscsi", "login refused", {"initiator", asked.initiator_name}, {"peer", facts_->peer},
               {"port", asked.target_name}, {"why", to_string(step.cause)});
    lingers_ = is_stranger();
    leave(port::loss_reason::connection_lost);
  }
}

void connection::open_nexus() {
  if (!options_.shared->book->log_in(slot_)) return refuse_login(login_status::out_of_resources);
  share_ = memory::share::open(ledger());
  if (!share_) return refuse_login(login_status::out_of_resources);
  if (before_session_) std::exchange(before_session_, nullptr)();
  member_ = port_->sessions->join(options_.portal, close_later_);
  if (member_ == 0) return refuse_login(login_status::service_unavailable);
  phase_ = phase_of::opening;
  opening_ = true;
  port::login who;
  who.port = port_->id;
  who.initiator = {scsi::protocol::iscsi, parameters().initiator_name, isid_text(login_->isid())};
  who.caps.can_query = parameters().protocol_level >= 2;  // RFC 7144
  mover_->restrict(who.caps);
  who.peer = facts_->peer;
  who.description = parameters().describe();
  gateway_.open(
      who,
      {[this](port::loss_reason reason) { close(reason); }, [this](const port::unit_event& what) { report(what); }},
      [this](result<std::unique_ptr<port::nexus>> made) { opened(std::move(made)); });
}

void connection::opened(result<std::unique_ptr<port::nexus>> made) {
  opening_ = false;
  if (made) nexus_ = std::move(*made);
  if (phase_ == phase_of::leaving) {  // the connection went while the core was busy opening
    close_nexus(reason_);
    return maybe_finish();
  }
  if (nexus_) return finish_login();
  const bool full = made.error().code == errc::no_space || made.error().code == errc::busy;
  login_status why = full ? login_status::out_of_resources : login_status::target_error;
  if (made.error().code == errc::not_found) why = login_status::not_found;
  if (made.error().code == errc::permission) why = login_status::authorization_failure;
  refuse_login(why);
}

/// In place of the response that would have ended the login.
void connection::refuse_login(login_status why) {
  login_step refused = login_->fail(why);
  refused.response.sn.stat_sn = last_step_.response.sn.stat_sn;
  send_login(refused);
}

void connection::finish_login() {
  tsih_ = options_.shared->sessions.allocate();
  if (tsih_ == 0) return refuse_login(login_status::out_of_resources);
  cid_ = login_->cid();
  last_step_.response.tsih = tsih_;
  phase_ = phase_of::full_feature;
  options_.shared->counted.count(parameters().discovery ? tally::discovery : tally::login);
  send_login(last_step_);
  stat_sn_ = login_->next_stat_sn();
  window_.start(login_->cmd_sn(), parameters().discovery ? 1 : options_.bounds.max_tasks_per_nexus);
  if (!parameters().discovery) {
    in_session_ = true;
    options_.turns->depart(turn_);
    facts_->at.store(connection_facts::stage::session, std::memory_order_relaxed);
    payer_ = &*share_;
    mover_->pay_from(*payer_);
    commands_ = commands(options_.bounds.max_tasks_per_nexus + max_immediate);
  }
  begin_text();
  enter_session();
  login_.reset();
  last_step_ = {};
  begin_full_feature();
}

void connection::begin_text() {
  text_.emplace(negotiator_, [this](const std::string& name) { return list_targets(name); });
  text_->pay_by(memory::charge(ledger(), *payer_));
}

/// From now on another connection may take this one's place in the session.
void connection::enter_session() {
  if (parameters().discovery || !take_successor_) return;
  options_.shared->sessions.enter(tsih_, {parameters().initiator_name, login_->isid(), port_->id, cid_, parameters()},
                                  take_successor_);
}

/// The last Login Response has been queued.
void connection::begin_full_feature() {
  mover_->begin_full_feature();
  loop_.disarm(timer_);
  if (served().nop_interval_ns) loop_.arm(timer_, served().nop_interval_ns);
  if (!processing_) resume();
}

std::shared_ptr<const std::string> connection::list_targets(const std::string& name) {
  if (!vantage_) {
    vantage_ = vantage{options_.portal, {}, {}};
    if (auto local = mover_->local()) vantage_->local = std::move(*local);
    if (auto peer = mover_->peer()) vantage_->peer = std::move(*peer);
  }
  const auto table = options_.shared->board.now();
  const std::string& initiator = parameters().initiator_name;
  return options_.listings->find(table, gateway_.access_epoch(), *vantage_, initiator, name, [&] {
    return table->send_targets(*vantage_, name, [&](const port::port_id& port) {
      const auto access = gateway_.check(port, initiator);
      return access && access->allowed;
    });
  });
}

}  // namespace sluice::iscsi
