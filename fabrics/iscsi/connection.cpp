#include "fabrics/iscsi/connection.hpp"

#include <algorithm>
#include <cstdio>

#include "actors/observe/log.hpp"
#include "actors/wire/crc.hpp"

namespace sluice::iscsi {
namespace {

constexpr std::uint64_t farewell_ns = 5 * ns_per_s;  // for the last answers to leave
constexpr std::uint32_t bulk_octets = 64 * 1024;     // from here on Data-Out payload goes straight to its place
constexpr std::uint32_t header_only_octets = 512;

std::string isid_text(std::uint64_t isid) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%012llx", static_cast<unsigned long long>(isid));
  return text;
}

}  // namespace

connection::connection(reactor::loop& loop, reactor::handle handle, port::gateway& gateway, port::task_endpoint& self,
                       const connection_options& options, port_sessions::closer close_later,
                       std::function<void()> ended)
    : loop_(loop),
      handle_(handle),
      gateway_(gateway),
      self_(&self),
      options_(options),
      close_later_(std::move(close_later)),
      ended_(std::move(ended)),
      payer_(&loop.buffers().accounts().strangers()),
      in_(loop.buffers(), *payer_),
      out_(loop.buffers(), *payer_),
      negotiator_(offer{}),
      commands_(0) {
  SLUICE_CHECK(options_.shared && options_.turns && options_.listings);
}

connection::~connection() {
  SLUICE_CHECK(phase_ == phase_of::ended || !(receive_.in_flight() || readable_.in_flight()));
  if (slot_ != 0) options_.shared->book->leave(slot_);
}

void connection::start(std::shared_ptr<connection_facts> facts, std::uint64_t slot) {
  facts_ = std::move(facts);
  slot_ = slot;
  now_ns_ = heard_ns_ = loop_.now_ns();
  login_.emplace(login_options{}, world());
  login_->pay_by(memory::charge(ledger(), *payer_));
  loop_.arm(timer_, options_.bounds.login_timeout_ns);
  options_.turns->arrive(turn_, facts_->address);
  arm_receive();
}

void connection::move_to(port::task_endpoint& self, std::function<void()> ended) {
  self_ = &self;
  ended_ = std::move(ended);
}

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
  world.session_exists = [this](std::uint16_t tsih) { return options_.shared->sessions.exists(tsih); };
  world.random = [this](bytes into) {
    for (std::uint8_t& octet : into) octet = static_cast<std::uint8_t>(loop_.random() >> 24);
  };
  return world;
}

connection_status connection::status() const {
  connection_status s;
  if (nexus_ && nexus_->identity()) s.nexus_id = nexus_->identity()->id;
  s.initiator = parameters().initiator_name;
  s.peer = facts_->peer;
  s.parameters = parameters().describe();
  s.discovery = parameters().discovery;
  return s;
}

// -- receiving and sending -------------------------------------------------------------------------------------

void connection::arm_receive() {
  if (!listens() || receive_.in_flight() || processing_ || again_.queued_) return;
  if (is_stranger()) return await_turn();
  if (out_.octets() > options_.send_high_water) return;  // resume() comes when the peer has taken some
  if (state_ == receive_state::payload) {
    const std::uint32_t left = sink_.end - sink_.at;
    return loop_.receive(receive_, handle_, {sink_.buffer.data() + sink_.at, left});
  }
  if (starved_ || !in_.prepare(wanted_)) {
    starved_ = true;
    return wait_for_memory();
  }
  const bool bulk_follows = solicited_ >= bulk_octets && state_ != receive_state::skip;
  const std::uint32_t most = bulk_follows && wanted_ <= header_only_octets ? header_only_octets : UINT32_MAX;
  loop_.receive(receive_, handle_, in_.room(most));
}

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

void connection::on_readable(std::int64_t) noexcept {
  if (phase_ == phase_of::leaving) return maybe_finish();
  resume();
}

void connection::on_received(std::int64_t result) noexcept {
  if (phase_ == phase_of::leaving) return maybe_finish();
  if (result <= 0) {
    drop(port::loss_reason::connection_lost);
    return maybe_finish();
  }
  now_ns_ = heard_ns_ = loop_.now_ns();
  probe_sent_ = false;
  const auto octets = static_cast<std::uint32_t>(result);
  if (state_ == receive_state::payload) {
    sink_.at += octets;
    if (sink_.target) sink_.target->progress_ns = now_ns_;
  } else {
    in_.filled(octets);
  }
  resume();
}

/// Goes on with what has been received, then asks for more. A session has so much of a turn of the loop, a stranger one
/// PDU when it is its turn.
void connection::resume() noexcept {
  if (processing_) return;
  if (is_stranger()) return listens() ? options_.turns->enter(turn_) : after_processing();
  processing_ = true;
  turn_cost_ = 0;
  const auto goes_on = [&] { return listens() && !starved_; };
  bool more = true;
  while (goes_on() && turn_cost_ < work_per_turn && (more = process())) continue;
  processing_ = false;
  if (more && goes_on()) loop_.defer(again_);
  after_processing();
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
  return used - in_.held() + octets_of_a_turn + kept <= limit;
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

void connection::after_processing() {
  if (!out_.empty()) loop_.at_turn_end(flush_);
  arm_receive();
  if (phase_ == phase_of::leaving) maybe_finish();
}

/// Memory comes free by turns (memory::waiter), or the time is up that a command waits for it.
void connection::wait_for_memory() {
  ledger().wait(memory_waiter_);
  if (!starved_timer_.armed()) loop_.arm(starved_timer_, is_stranger() ? stranger_retry_ns : starved_retry_ns);
}

void connection::on_memory() noexcept {
  on_starved();
  if (phase_ == phase_of::leaving) maybe_finish();
}

void connection::on_starved() noexcept {
  starved_ = false;
  now_ns_ = loop_.now_ns();
  feed_starving();
  give_up_starving();
  if (receive_.in_flight()) return;
  resume();
}

void connection::flush() noexcept {
  if (phase_ == phase_of::ended || writable_.in_flight()) return;
  if (!output_abandoned_) {
    switch (out_.flush(loop_, handle_)) {
      case send_queue::progress::blocked:
        loop_.wait_writable(writable_, handle_);
        break;
      case send_queue::progress::broken:
        drop(port::loss_reason::connection_lost);
        break;
      case send_queue::progress::drained:
        break;
    }
  }
  if (out_.octets() <= (is_stranger() ? 0 : options_.send_high_water / 2)) {
    std::vector<command*> answered;
    answered.swap(put_waiting_);
    for (command* c : answered)
      answer_put(*c, c->end == command::fate::served ? port::transfer_end::done : port::transfer_end::failed);
    answered.clear();
    if (put_waiting_.empty()) put_waiting_.swap(answered);  // keeps the capacity
    arm_receive();
  }
  if (phase_ == phase_of::leaving) maybe_finish();
}

void connection::on_writable(std::int64_t) noexcept {
  flush();
}

std::uint8_t* connection::send_header() {
  const bool digest = digests_on_ && parameters().header_digest;
  if (!processing_) loop_.at_turn_end(flush_);
  return out_.append(bhs_octets + (digest ? digest_octets : 0));
}

void connection::seal_header(std::uint8_t* at) {
  if (!digests_on_ || !parameters().header_digest) return;
  const std::uint32_t crc = wire::crc32c({at, bhs_octets});
  for (unsigned i = 0; i < digest_octets; ++i) at[bhs_octets + i] = static_cast<std::uint8_t>(crc >> (8 * i));
}

/// The padding and the digest after `data_octets` whose CRC is `crc`.
void connection::send_trailer(std::uint32_t data_octets, std::uint32_t crc) {
  const std::uint32_t pad = padded(data_octets) - data_octets;
  const bool digest = digests_on_ && parameters().data_digest;
  if (pad == 0 && !digest) return;
  std::uint8_t* at = out_.append(pad + (digest ? digest_octets : 0));
  std::memset(at, 0, pad);
  if (!digest) return;
  crc = wire::crc32c({at, pad}, crc);
  for (unsigned i = 0; i < digest_octets; ++i) at[pad + i] = static_cast<std::uint8_t>(crc >> (8 * i));
}

// -- login -------------------------------------------------------------------------------------------------------

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
  if (parameters().discovery) return finish_login();
  open_nexus();
}

void connection::send_login(login_step& step) {
  // A discovery session asks one thing after the other.
  const std::uint32_t depth = login_->parameters().discovery ? 1 : options_.bounds.max_tasks_per_nexus;
  step.response.sn.max_cmd_sn = step.response.sn.exp_cmd_sn + depth - 1;
  send(step.response, as_octets(step.data));
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
  who.caps.may_borrow = !parameters().data_digest;
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
  send_login(last_step_);
  stat_sn_ = login_->next_stat_sn();
  window_.start(login_->cmd_sn(), parameters().discovery ? 1 : options_.bounds.max_tasks_per_nexus);
  if (!parameters().discovery) {
    in_session_ = true;
    options_.turns->depart(turn_);
    facts_->at.store(connection_facts::stage::session, std::memory_order_relaxed);
    payer_ = &*share_;
    in_.pay_from(*payer_);
    out_.pay_from(*payer_);
    commands_ = commands(options_.bounds.max_tasks_per_nexus + max_immediate);
  }
  text_.emplace(negotiator_, [this](const std::string& name) { return list_targets(name); });
  text_->pay_by(memory::charge(ledger(), *payer_));
  login_.reset();
  digests_on_ = true;  // from the first PDU after the login on
  last_step_ = {};
  loop_.disarm(timer_);
  if (served().nop_interval_ns) loop_.arm(timer_, served().nop_interval_ns);
  if (!processing_) resume();
}

std::shared_ptr<const std::string> connection::list_targets(const std::string& name) {
  if (!vantage_) {
    vantage_ = vantage{options_.portal, {}, {}};
    if (auto local = loop_.local_endpoint(handle_)) vantage_->local = std::move(*local);
    if (auto peer = loop_.peer_endpoint(handle_)) vantage_->peer = std::move(*peer);
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

// -- the end -----------------------------------------------------------------------------------------------------

void connection::on_timer() noexcept {
  if (phase_ == phase_of::full_feature) return keepalive();
  if (phase_ == phase_of::ended) return;
  // The session that this login takes the place of has not ended yet: it may try again soon.
  if (phase_ == phase_of::opening) return refuse_login(login_status::service_unavailable);
  if (lingers_) return end_linger();
  if (phase_ == phase_of::login) options_.shared->refused.count(refusals::timeout);
  drop(port::loss_reason::connection_lost);  // a login or a farewell that takes too long
  maybe_finish();
}

void connection::keepalive() {
  now_ns_ = loop_.now_ns();
  const served_port& port = served();
  const std::uint64_t silence = now_ns_ - heard_ns_;
  if (probe_sent_ && silence >= port.nop_timeout_ns) {
    drop(port::loss_reason::connection_lost);
    return maybe_finish();
  }
  if (!probe_sent_ && silence < port.nop_interval_ns) return loop_.arm(timer_, port.nop_interval_ns - silence);
  if (!probe_sent_) {
    nop_in probe;
    probe.target_transfer_tag = next_transfer_tag_++ & 0x7fffffff;
    probe.sn = numbers();  // a probe does not consume a StatSN [RFC7143 11.19.1]
    send(probe);
    probe_sent_ = true;
    in_.rest();
    heard_ns_ = now_ns_;  // the answer's time starts now
  }
  loop_.arm(timer_, port.nop_timeout_ns);
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

/// Takes nothing more in; what is queued still leaves.
void connection::leave(port::loss_reason reason) {
  if (phase_ == phase_of::leaving || phase_ == phase_of::ended) return;
  phase_ = phase_of::leaving;
  reason_ = reason;
  loop_.arm(timer_, lingers_ ? linger_ns : farewell_ns);
  give_back_tasks();
  if (nexus_)
    close_nexus(reason);
  else
    send_goodbye();
  loop_.at_turn_end(flush_);
}

void connection::drop(port::loss_reason reason) {
  abandon_output();
  leave(reason);
}

void connection::abandon_output() {
  if (phase_ == phase_of::ended || output_abandoned_) return;
  output_abandoned_ = true;
  out_.clear();
  if (!shut_) loop_.shutdown(handle_);
  shut_ = true;
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
  if (!logout_ || output_abandoned_) return;
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
  sink_.target = nullptr;
  std::vector<command*> all = commands_.live();
  for (command* c : all) {
    c->end = command::fate::silent;
    switch (c->where()) {
      case command::stage::gathering:
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
  put_waiting_.clear();
}

void connection::maybe_finish() {
  if (phase_ != phase_of::leaving || processing_ || opening_ || nexus_ || !commands_.live().empty()) return;
  if (management_.size() != management_free_.size()) return;  // the core will still answer them
  if (!output_abandoned_ && !out_.empty()) return;
  if (lingers_) return linger();
  if (!shut_) loop_.shutdown(handle_);
  shut_ = true;
  options_.turns->depart(turn_);
  ledger().forget(memory_waiter_);
  if (readable_.in_flight() || receive_.in_flight() || writable_.in_flight() || flush_.queued_ || again_.queued_ ||
      on_memory_.queued_ || give_way_.queued_)
    return;
  phase_ = phase_of::ended;
  loop_.disarm(timer_);
  loop_.disarm(starved_timer_);
  loop_.disarm(owed_timer_);
  loop_.disarm(penalty_timer_);
  loop_.close(handle_);
  if (member_ != 0) port_->sessions->leave(member_);
  if (tsih_ != 0) options_.shared->sessions.release(tsih_);
  loop_.defer(finish_);
}

void connection::finish() noexcept {
  const std::function<void()> ended = std::move(ended_);
  ended();
}

}  // namespace sluice::iscsi
