#include "fabrics/iscsi/connection.hpp"

namespace sluice::iscsi {

connection::connection(reactor::loop& loop, accepted_peer& by, port::gateway& gateway, port::task_endpoint& self,
                       const connection_options& options, port_sessions::closer close_later,
                       std::function<void()> ended)
    : loop_(loop),
      gateway_(gateway),
      self_(&self),
      options_(options),
      close_later_(std::move(close_later)),
      ended_(std::move(ended)),
      payer_(&loop.buffers().accounts().strangers()),
      mover_(by.open(*this)),
      negotiator_(offer{}),
      commands_(0) {
  SLUICE_CHECK(options_.shared && options_.turns && options_.listings);
}

connection::~connection() {
  if (slot_ != 0) options_.shared->book->leave(slot_);
}

void connection::start(std::shared_ptr<connection_facts> facts, std::uint64_t slot) {
  facts_ = std::move(facts);
  slot_ = slot;
  now_ns_ = heard_ns_ = loop_.now_ns();
  login_.emplace(login_options{.ours = options_.ours}, world());
  login_->pay_by(memory::charge(ledger(), *payer_));
  loop_.arm(timer_, options_.bounds.login_timeout_ns);
  options_.turns->arrive(turn_, facts_->address);
  mover_->start();
  listen();
}

void connection::move_to(port::task_endpoint& self, std::function<void()> ended) {
  self_ = &self;
  ended_ = std::move(ended);
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

// -- what comes ------------------------------------------------------------------------------------------------------

void connection::listen() {
  if (!listens() || processing_ || again_.queued_) return;
  if (is_stranger()) return await_turn();
  mover_->receive();
}

void connection::move_on() {
  if (phase_ == phase_of::leaving) return maybe_finish();
  if (phase_ == phase_of::replaced) maybe_go_over();
}

void connection::readable() {
  if (phase_ == phase_of::leaving) return maybe_finish();
  resume();
}

void connection::heard() {
  now_ns_ = heard_ns_ = loop_.now_ns();
  probe_sent_ = false;
}

void connection::broken() {
  drop(port::loss_reason::connection_lost);
  maybe_finish();
}

void connection::resume() noexcept {
  if (processing_) return;
  if (is_stranger()) return listens() ? options_.turns->enter(turn_) : after_processing();
  processing_ = true;
  turn_cost_ = 0;
  bool more = true;
  while (listens() && turn_cost_ < work_per_turn && (more = mover_->process())) continue;
  processing_ = false;
  if (more && listens()) loop_.defer(again_);
  after_processing();
}

void connection::after_processing() {
  if (mover_->has_output()) mover_->push();
  listen();
  move_on();
}

/// Memory comes free by turns (memory::waiter), or the time is up that a command waits for it.
void connection::wait_for_memory() {
  ledger().wait(memory_waiter_);
  if (!starved_timer_.armed()) loop_.arm(starved_timer_, is_stranger() ? stranger_retry_ns : starved_retry_ns);
}

void connection::on_memory() noexcept {
  on_starved();
  move_on();
}

void connection::on_starved() noexcept {
  const bool goes_on = mover_->try_again();
  now_ns_ = loop_.now_ns();
  feed_starving();
  give_up_starving();
  if (goes_on) resume();
}

memory::slice connection::take_memory(std::uint32_t octets) {
  memory::slice taken = loop_.buffers().take(octets, *payer_);
  if (!taken.empty()) hungry_since_ns_ = 0;
  return taken;
}

bool connection::has_waited_enough() {
  if (hungry_since_ns_ == 0) hungry_since_ns_ = now_ns_;
  if (now_ns_ - hungry_since_ns_ <= hungry_limit_ns) return false;
  hungry_since_ns_ = 0;
  return true;
}

// -- time ------------------------------------------------------------------------------------------------------------

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
    mover_->rest();
    heard_ns_ = now_ns_;  // the answer's time starts now
  }
  loop_.arm(timer_, port.nop_timeout_ns);
}

}  // namespace sluice::iscsi
