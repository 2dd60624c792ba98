#include "tests/agreement/host.hpp"

#include <algorithm>
#include <cstring>

#include "actors/wire/big_endian.hpp"

namespace sluice::agreement_sim {

namespace {
constexpr reactor::sim_options::range wire_delay_ns{20 * ns_per_us, 2 * ns_per_ms};
constexpr std::uint64_t patience_ns = 4 * ns_per_s;
constexpr unsigned types[] = {1, 3, 5, 6, 7, 8};

std::vector<std::uint8_t> reserve_out(unsigned action, unsigned type) {
  std::vector<std::uint8_t> cdb(10);
  cdb[0] = 0x5f;
  cdb[1] = static_cast<std::uint8_t>(action);
  cdb[2] = static_cast<std::uint8_t>(type);
  wire::store32(cdb, 5, 24);
  return cdb;
}
}  // namespace

session::session(reactor::sim_world& world, reactor::loop& loop, oracle& told, served_gateway& at, unsigned host)
    : world_(world), loop_(loop), oracle_(told), gateway_(at), host_(host) {}

// -- coming and going ------------------------------------------------------------------------------------------------

session::state session::now() {
  if (state_ != state::out && life_ != gateway_.life()) {  // the gateway's process has ended
    if (current_) oracle_.given_up(current_->what);
    current_ = nullptr;
    state_ = state::out;
  }
  return state_;
}

void session::log_in() {
  if (now() != state::out || !gateway_.started() || !gateway_.admits()) return;
  life_ = gateway_.life();
  state_ = state::logging_in;
  shard_ = static_cast<unsigned>(world_.below(served_gateway::shards));
  identity_ = std::make_shared<port::i_t_nexus>();
  identity_->id = gateway_.new_nexus();
  identity_->initiator = {scsi::protocol::iscsi, "iqn.2026-11.org.example:host" + std::to_string(host_),
                          "0x000000000001"};
  identity_->target_name = "main";
  identity_->relative_target_port = gateway_.id();
  identity_->port.id = {"iscsi", "iqn.2026-11.io.sluice:main", gateway_.id()};
  gateway_.post(10000 + identity_->id, [this] {
    gateway_.attach(shard_, identity_);
    state_ = state::idle;
  });
}

void session::drop() {
  if (now() != state::idle && state_ != state::busy) return;
  if (current_) oracle_.given_up(current_->what);
  current_ = nullptr;
  state_ = state::leaving;
  gateway_.post(10000 + identity_->id,
                [this] { gateway_.detach(shard_, identity_->id, [this] { state_ = state::out; }); });
}

// -- commands --------------------------------------------------------------------------------------------------------

exchange& session::begin(asked::kind what) {
  exchange& e = exchanges_.emplace_back();
  e.what.what = what;
  e.what.nexus = identity_->id;
  e.what.pr.initiator = host_ * max_gateways + gateway_.place();
  current_ = &e;
  state_ = state::busy;
  oracle_.begin(e.what);
  watch(e);
  return e;
}

/// An initiator's command timer.
void session::watch(exchange& e) {
  world_.after(patience_ns, [this, &e] {
    if (now() == state::busy && current_ == &e) drop();
  });
}

void session::later(std::function<void()> what) {
  world_.after(world_.draw(wire_delay_ns), [this, life = life_, what = std::move(what)] {
    if (life == gateway_.life()) gateway_.post(10000 + identity_->id, what);
  });
}

void session::submit(exchange& e, std::vector<std::uint8_t> cdb, const std::vector<std::uint8_t>& out,
                     std::uint64_t room) {
  port::task& t = e.task;
  t.nexus = identity_;
  t.fabric = this;
  t.tag = exchanges_.size();
  t.cdb_bytes = static_cast<std::uint8_t>(cdb.size());
  std::copy(cdb.begin(), cdb.end(), t.cdb.begin());
  t.expected_data_out = out.size();
  t.expected_data_in = room;
  t.fabric_private = &e;
  if (!out.empty()) {
    memory::slice data = loop_.buffers().take(static_cast<std::uint32_t>(out.size()));
    std::memcpy(data.data(), out.data(), out.size());
    t.data_out.push_back(data.sub(0, static_cast<std::uint32_t>(out.size())));
    t.data_out_end = out.size();
  }
  later([this, &t, shard = shard_, nexus = identity_->id] {
    if (!gateway_.admits() || state_ == state::leaving || identity_->id != nexus) return t.data_out.clear();
    const auto& block = static_cast<exchange*>(t.fabric_private)->what.block;
    gateway_.shard(shard).on_task(t, port::task_event::submit);
    if (block) oracle_.blocks.arrived(*block);
  });
}

void session::manage(exchange& e) {
  port::task_management& m = e.management;
  m.nexus = identity_;
  m.reply_to = this;
  m.function = port::task_function::logical_unit_reset;
  m.fabric_private = &e;
  later([this, &m, shard = shard_, nexus = identity_->id] {
    if (gateway_.admits() && state_ != state::leaving && identity_->id == nexus) gateway_.shard(shard).on_manage(m);
  });
}

void session::send_probe() {
  if (now() != state::idle) return;
  asks_status_ = false;
  if (gateway_.shares()) return send_blocks();
  std::vector<std::uint8_t> write(10);
  write[0] = 0x2a;
  write[8] = 1;
  submit(begin(asked::kind::probe), write, std::vector<std::uint8_t>(512, static_cast<std::uint8_t>(host_)));
}

/// To one of its own blocks, or from any.
void session::send_blocks() {
  const auto own = static_cast<unsigned>(host_ * block_model::of_each + world_.below(block_model::of_each));
  const bool writes = world_.below(2) == 0 && oracle_.blocks.may_write(own);
  const auto any = static_cast<unsigned>(world_.below(initiators * block_model::of_each));
  exchange& e = begin(asked::kind::probe);
  e.what.block = writes ? oracle_.blocks.write(own) : oracle_.blocks.read(any);
  std::vector<std::uint8_t> cdb(10);
  cdb[0] = writes ? 0x2a : 0x28;
  wire::store32(cdb, 2, writes ? own : any);
  cdb[8] = 1;
  if (!writes) return submit(e, cdb, {}, 512);
  std::vector<std::uint8_t> data(512);
  wire::store64(data, 0, e.what.block->number);
  submit(e, cdb, data);
}

void session::ask_status() {
  if (now() != state::idle) return;
  asks_status_ = true;
  std::vector<std::uint8_t> in(10);
  in[0] = 0x5e;
  in[1] = 3;
  wire::store16(in, 7, 4096);
  exchange& e = exchanges_.emplace_back();
  current_ = &e;
  state_ = state::busy;
  status_.clear();
  watch(e);
  submit(e, in, {}, 4096);
}

void session::send_reservation() {
  // A guess at what would do something, often wrong by now.
  const sim::reservation_state& guess = oracle_.reservations();
  const unsigned self = host_ * max_gateways + gateway_.place();
  const auto own = guess.keys.find(self);
  const auto key = [&] { return 0x100 + world_.below(6); };
  sim::pr_command pr;
  pr.initiator = self;
  pr.type = guess.type != 0 && world_.below(4) != 0 ? guess.type : types[world_.below(std::size(types))];
  pr.key = own != guess.keys.end() ? own->second : key();
  using action = sim::pr_action;
  const auto roll = world_.below(20);
  pr.action = own == guess.keys.end() && roll < 14 ? (roll % 2 ? action::register_key : action::register_and_ignore)
              : roll < 4                           ? action::register_key
              : roll < 8                           ? action::reserve
              : roll < 10                          ? action::release
              : roll < 11                          ? action::clear
              : roll < 15                          ? action::preempt
              : roll < 18                          ? action::preempt_and_abort
                                                   : action::register_and_ignore;
  if (pr.action == action::register_key && own == guess.keys.end()) pr.key = 0;
  if (pr.action == action::preempt || pr.action == action::preempt_and_abort) {
    pr.action_key = key();
    for (const auto& [other, their] : guess.keys)
      if (other != self && world_.below(2) == 0) pr.action_key = their;
  } else if (pr.action == action::register_key || pr.action == action::register_and_ignore) {
    pr.action_key = world_.below(6) == 0 ? 0 : key();
  }
  exchange& e = begin(asked::kind::reservation);
  e.what.pr = pr;
  std::vector<std::uint8_t> list(24);
  wire::store64(list, 0, pr.key);
  wire::store64(list, 8, pr.action_key);
  list[20] = world_.below(3) == 0 ? 1 : 0;  // APTPL
  submit(e, reserve_out(static_cast<unsigned>(pr.action), pr.type), list);
}

void session::send_any() {
  if (now() != state::idle) return;
  asks_status_ = false;
  if (gateway_.shares() && world_.below(2) == 0) return send_probe();
  const auto roll = world_.below(40);
  if (roll < 14) return send_probe();
  if (roll < 33) return send_reservation();
  if (roll < 36) {
    const bool reserves = world_.below(2) == 0;
    exchange& e = begin(reserves ? asked::kind::reserve : asked::kind::release);
    return submit(e, {static_cast<std::uint8_t>(reserves ? 0x16 : 0x17), 0, 0, 0, 0, 0});
  }
  if (roll < 38) {
    // The control mode page: TAS, and whether it is saved.
    exchange& e = begin(asked::kind::mode_select);
    std::vector<std::uint8_t> list(16);
    list[4] = 0x0a;
    list[5] = 0x0a;
    list[6] = 0x02;
    list[7] = 0x10;
    list[9] = world_.below(2) ? 0x40 : 0;
    return submit(e, {0x15, static_cast<std::uint8_t>(0x10 | world_.below(2)), 0, 0, 16, 0}, list);
  }
  if (roll < 39) return manage(begin(asked::kind::reset));
  drop();
}

// -- answers
// -----------------------------------------------------------------------------------------------------------

void session::post(port::task& subject, port::task_event event) noexcept {
  auto* e = static_cast<exchange*>(subject.fabric_private);
  if (event != port::task_event::complete) {
    oracle_.fail("a task asks for data that it has");
    return;
  }
  std::vector<std::uint8_t> data;
  for (const memory::slice& s : subject.data_in) data.insert(data.end(), s.data(), s.data() + s.size());
  subject.data_in.clear();
  subject.data_out.clear();
  if (subject.silent()) return;
  world_.after(world_.draw(wire_delay_ns),
               [this, e, life = gateway_.life(), outcome = subject.outcome, data = std::move(data)] {
                 if (life != gateway_.life() || current_ != e) return;
                 current_ = nullptr;
                 state_ = state::idle;
                 heard_good_ = outcome.status == scsi::status::good;
                 if (!asks_status_) return oracle_.answered(e->what, outcome, data);
                 if (heard_good_) status_ = data;
               });
}

void session::post(port::task_management& request) noexcept {
  auto* e = static_cast<exchange*>(request.fabric_private);
  world_.after(world_.draw(wire_delay_ns), [this, e, life = gateway_.life()] {
    if (life != gateway_.life() || current_ != e) return;
    current_ = nullptr;
    state_ = state::idle;
    oracle_.reset_answered(e->what);
  });
}

}  // namespace sluice::agreement_sim
