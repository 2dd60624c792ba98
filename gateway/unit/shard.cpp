#include "gateway/unit/shard.hpp"

#include <algorithm>
#include <utility>

#include "gateway/unit/jobs.hpp"

namespace sluice::unit {

using port::task_event;
namespace outcomes = scsi::outcomes;

namespace {

/// The initiator wants to read where the command takes data: it would take GOOD for written. The other way round it
/// gets no data, and the residual says so.
bool is_announced_backwards(const command& c) {
  const port::task& t = *c.task;
  return c.row->direction == scsi::data_direction::out && t.expected_data_out == 0 && t.expected_data_in > 0;
}

shard_options with_books(shard_options options) {
  if (!options.attentions) options.attentions = std::make_shared<attention_book>();
  if (!options.flushes) options.flushes = std::make_shared<flush_book>();
  return options;
}

}  // namespace

bool is_block_command(const scsi::opcode_row& row) {
  switch (row.what) {
    case scsi::command::read:
    case scsi::command::write:
    case scsi::command::verify:
    case scsi::command::write_and_verify:
    case scsi::command::or_write:
    case scsi::command::compare_and_write:
    case scsi::command::write_same:
    case scsi::command::synchronize_cache:
    case scsi::command::pre_fetch:
      return true;
    default:
      return false;
  }
}

std::uint64_t transfer_bytes(const command& c, std::uint32_t block_size) {
  return is_block_command(*c.row) ? c.block.transfer_bytes(block_size) : scsi::parameter_length(*c.row, c.cdb());
}

void command::medium_request::done(store::status outcome) noexcept {
  server->medium_done(*owner, outcome);
}

void command::reset() {
  task = nullptr;
  nexus = nullptr;
  row = nullptr;
  block = {};
  is_refused = touches_blocks = false;
  range = {};
  serial = 0;
  where = stage::waiting;
  with = place::here;
  abort_disposition = unit::abort_disposition::none;
  why = port::silence::none;
  needs_range_lock = false;
  range_lock = 0;
  range_lock_granted = has_written = false;
  if (std::exchange(abandoned, false)) kept.clear();
  flush = guard = since = 0;
  resume_point = {};
  relayed = nullptr;
  end_of_relayed = end_asked::nobody;
  data_goal = 0;
}

shard::shard(const shard_options& options, coordinator_link& coordinator, reactor::loop& loop,
             std::unique_ptr<store::channel> medium, snapshot_ptr first)
    : options_(with_books(options)),
      coordinator_(coordinator),
      loop_(loop),
      medium_(std::move(medium)),
      snapshot_(std::move(first)) {
  if (!options_.awaits_predecessor) return;
  range_locks_.push_back({predecessor_lock_id(options_.gateway), predecessor_lock_range, true, 0});
  gate_ = true;
}

shard::~shard() {
  SLUICE_CHECK(nexuses_.empty());
  SLUICE_CHECK(idle());
  SLUICE_CHECK(!next_turn_.queued_ && !turn_over_.queued_);
  loop_.disarm(clock_);
  loop_.disarm(leaving_);
  loop_.disarm(hunger_timer_);
  loop_.disarm(held_timer_);
  loop_.buffers().accounts().forget(memory_waiter_);
}

void shard::on_task(port::task& subject, task_event event) noexcept {
  if (event == task_event::submit) return submit(subject);
  if (event == task_event::transport_abort) return transport_abort(subject);
  SLUICE_CHECK(event == task_event::data_arrived || event == task_event::data_sent);
  command& c = *static_cast<command*>(subject.holder);
  SLUICE_CHECK(c.with == command::place::fabric);
  c.with = command::place::here;
  if (subject.ended != port::transfer_end::done && !c.is_aborted()) {
    c.abort_disposition = abort_disposition::silent;
    c.why = port::silence::transfer_failed;
  }
  const bool more = event == task_event::data_arrived && !c.is_aborted() && subject.data_out_end < c.data_goal;
  if (more) return ask_data(c);
  if (c.where == command::stage::waiting) return fetched(c);
  c.resume();
}

void shard::submit(port::task& t) noexcept {
  nexus_record* n = find_nexus(t.nexus->id);
  if (!n || n->leaving) {  // sent before the fabric knew that the nexus ends
    t.silenced = port::silence::nexus_lost;
    return t.fabric->post(t, task_event::complete);
  }
  command* c = n->tasks < options_.max_tasks_per_nexus ? take_command() : nullptr;
  if (!c) [[unlikely]] {
    ++counters_.task_set_full;
    // Who has nothing here that could end would wait for its own for ever [SAM-5 5.3.1].
    t.outcome = n->tasks == 0 ? outcomes::busy() : outcomes::task_set_full();
    return t.fabric->post(t, task_event::complete);
  }
  c->task = &t;
  c->nexus = n;
  c->serial = std::exchange(next_serial_, next_serial_ + serial_step);
  t.holder = c;
  ++n->tasks;
  ++task_count_;
  decode(*c);
  if (!gate_ && !c->needs_range_lock) [[likely]] {
    active_.push_back(*c);
    return start(*c);
  }
  waiting_.push_back(*c);
  c->since = tick_;
  if (options_.deadline_ns != 0) watch_clock();
  gate_ = true;
  if (c->needs_range_lock) fetch_first(*c);
  advance();
}

/// What is done behind a range lock has its data before it asks for the range lock: an initiator that is slow with them
/// keeps nobody out.
void shard::fetch_first(command& c) noexcept {
  if (c.is_refused || c.row->direction != scsi::data_direction::out) return;
  std::uint64_t wanted = c.task->expected_data_out;
  if (wanted == port::unknown_length) wanted = transfer_bytes(c, block_size());
  const bool in_one_step = c.row->what == scsi::command::compare_and_write;
  const std::uint64_t most = in_one_step ? c.block.transfer_bytes(block_size()) : memory::pool::largest;
  c.data_goal = std::min(wanted, most);
  if (c.task->data_out_end < c.data_goal) ask_data(c);
}

void shard::fetched(command& c) noexcept {
  c.since = tick_;
  if (c.is_aborted()) return finish(c, {});
  advance();
}

command* shard::take_command() {
  if (task_count_ >= options_.max_tasks) return nullptr;
  if (!free_commands_) {
    command& fresh = commands_.emplace_back();
    fresh.io.owner = &fresh;
    fresh.io.server = this;
    return &fresh;
  }
  command* c = free_commands_;
  free_commands_ = c->next;
  c->next = nullptr;
  return c;
}

nexus_record* shard::find_nexus(std::uint64_t id) noexcept {
  if (last_nexus_ && last_nexus_->identity->id == id) return last_nexus_;
  const auto it = nexuses_.find(id);
  if (it == nexuses_.end()) return nullptr;
  last_nexus_ = it->second.get();
  return last_nexus_;
}

/// Finds out what the task asks for and which blocks it touches. What is wrong is said when the task's turn comes.
void shard::decode(command& c) noexcept {
  port::task& t = *c.task;
  if (t.attribute != port::task_attribute::simple && !c.nexus->identity->caps.task_attributes)
    t.attribute = port::task_attribute::simple;
  if (t.attribute == port::task_attribute::ordered) {
    c.needs_range_lock = true;
    c.range = {.begin = 0, .end = 0, .exclusive = false, .ordered = true, .nexus = c.nexus->identity->id};
  } else {
    c.range = {.begin = 0, .end = 0, .exclusive = false, .ordered = false};
  }
  const auto row = scsi::check_cdb(c.cdb(), snapshot_->facts);
  if (!row) {
    c.refuse(row.error());
    return;
  }
  c.row = *row;
  if (t.attribute == port::task_attribute::aca) {  // there never is an auto contingent allegiance [SAM-5 8.6.2]
    c.refuse(outcomes::check(scsi::sense_key::illegal_request, scsi::asc::invalid_message));
    return;
  }
  if (c.row->what == scsi::command::unmap) {  // its ranges are in the data-out
    c.touches_blocks = true;
    c.range.end = snapshot_->facts.capacity_blocks;
    return;
  }
  if (!is_block_command(*c.row)) return;
  const auto block = scsi::decode_block_command(*c.row, c.cdb());
  if (!block) {
    c.refuse(block.error());
    return;
  }
  c.block = *block;
  if (const auto fits = scsi::fit_to_unit(c.block, snapshot_->facts); !fits) {
    c.refuse(fits.error());
    return;
  }
  c.touches_blocks = c.block.blocks != 0 && c.row->overlap != scsi::overlap_rule::whole_unit;
  if (!c.touches_blocks) return;
  c.range.begin = c.block.lba;
  c.range.end = c.block.lba + c.block.blocks;
  // What WRITE AND VERIFY reads back must not be what somebody else wrote meanwhile. It and ORWRITE lock what they are
  // at (verify.cpp).
  c.range.exclusive = c.row->overlap == scsi::overlap_rule::exclusive || c.row->what == scsi::command::write_and_verify;
  c.needs_range_lock = c.needs_range_lock || c.row->what == scsi::command::compare_and_write;
}

void shard::start(command& c) noexcept {
  c.where = command::stage::active;
  if (!c.nexus->plain) [[unlikely]] {
    if (c.nexus->identity->relayed && !may_be_done_here(c)) {
      c.abort_disposition = abort_disposition::silent;
      c.why = port::silence::not_owned;
      return finish(c, {});
    }
    if (const auto why = obstacle(c)) return finish(c, *why);
  }
  if (c.is_refused) [[unlikely]]
    return finish(c, c.refusal);
  if (is_announced_backwards(c)) [[unlikely]] {
    c.task->length_out = transfer_bytes(c, block_size());
    if (c.task->length_out > 0) return finish(c, outcomes::aborted(scsi::asc::data_phase_error));
  }
  if (c.row->writes_medium) {
    if (snapshot_->facts.read_only) return finish(c, outcomes::write_protected());
    if (snapshot_->mode.software_write_protect) return finish(c, outcomes::software_write_protected());
  }
  // The unit may have shrunk while the task waited for its turn. The ranges of UNMAP are checked when they are known.
  const bool range_is_known = c.touches_blocks && c.row->what != scsi::command::unmap;
  if (range_is_known && c.range.end > snapshot_->facts.capacity_blocks) [[unlikely]]
    return finish(c, outcomes::lba_out_of_range(snapshot_->facts.capacity_blocks));
  if (abandoned_ != 0 && overburdened() && c.row->needs_medium && c.row->what != scsi::command::test_unit_ready)
      [[unlikely]]
    return hold_back(c, outcomes::busy(), options_.busy_patience_ns);
  execute(c);
}

void shard::finish(command& c, const scsi::outcome& outcome) noexcept {
  const std::uint64_t serial = c.serial;
  if (c.task) settle(c, outcome);
  if (c.where == command::stage::waiting) ++waiting_removals_;
  (c.where == command::stage::waiting ? waiting_ : active_).erase(c);
  if (c.flush) [[unlikely]]
    options_.flushes->end(c.flush, flush_end::not_done);
  if (c.range_lock) coordinator_.send(range_lock_release{c.range_lock});
  if (c.guard) [[unlikely]]
    coordinator_.send(range_lock_release{c.guard});
  c.reset();
  c.next = free_commands_;
  free_commands_ = &c;
  if (!drains_.empty() || !settled_.empty()) [[unlikely]]
    task_gone(serial);
  if (!gate_) [[likely]]
    return;
  check_quiet();
  advance();
}

/// Gives the task back to its fabric; the record may live on while the coordinator still works for it.
void shard::settle(command& c, const scsi::outcome& outcome) noexcept {
  port::task& t = *c.task;
  switch (c.abort_disposition) {
    case abort_disposition::none:
      // Not `t.outcome = outcome`: that reads back, in wide words, what a builder has just written octet by octet, and
      // the processor then waits for all stores before it, the medium's among them (200 ns of a 4 KiB write to RAM).
      t.outcome.status = outcome.status;
      if (outcome.status == scsi::status::check_condition) t.outcome.sense = outcome.sense;
      break;
    case abort_disposition::task_aborted:
      t.outcome = outcomes::task_aborted();
      break;
    case abort_disposition::busy:
      t.outcome = c.has_written ? outcomes::aborted(scsi::asc::io_process_terminated) : outcomes::busy();
      break;
    case abort_disposition::silent:
      t.silenced = c.why;
      break;
  }
  if (c.is_aborted() || outcome.status == scsi::status::check_condition) t.data_in.clear();
  if (t.outcome.status == scsi::status::good && may_be_volatile(c)) c.nexus->written = options_.flushes->mark();
  t.descriptor_sense = snapshot_->mode.descriptor_sense;
  count(c, t.outcome);
  --c.nexus->tasks;
  --task_count_;
  t.holder = nullptr;
  c.task = nullptr;
  c.nexus = nullptr;
  t.fabric->post(t, task_event::complete);
}

namespace {

observe::command_class class_of(const scsi::opcode_row* row) {
  using observe::command_class;
  if (!row) return command_class::other;
  switch (row->what) {
    case scsi::command::read:
      return command_class::read;
    case scsi::command::write:
    case scsi::command::write_and_verify:
    case scsi::command::write_same:
      return command_class::write;
    case scsi::command::synchronize_cache:
      return command_class::flush;
    case scsi::command::unmap:
      return command_class::unmap;
    case scsi::command::compare_and_write:
    case scsi::command::or_write:
      return command_class::atomic;
    default:
      return command_class::other;
  }
}

/// Hosts ask for what a disk may lack to learn whether it has it: nothing went wrong.
bool asked_for_what_is_not_there(const scsi::sense& sense) {
  return sense.key == scsi::sense_key::illegal_request &&
         (sense.code == scsi::asc::invalid_opcode || sense.code == scsi::asc::invalid_field_in_cdb ||
          sense.code == scsi::asc::saving_not_supported);
}

std::uint64_t& counter_of(observe::command_counters& of, const scsi::outcome& failure) {
  if (failure.status != scsi::status::check_condition) return of.failed;
  if (failure.sense.key == scsi::sense_key::unit_attention) return of.attentions;
  return asked_for_what_is_not_there(failure.sense) ? of.unsupported : of.failed;
}

}  // namespace

void shard::count(const command& c, const scsi::outcome& outcome) noexcept {
  const port::task& t = *c.task;
  observe::command_counters& counters = counters_.of(class_of(c.row));
  const std::uint64_t now = loop_.now_ns();
  counters.latency.record(now > t.arrived_ns ? now - t.arrived_ns : 0);
  if (c.is_aborted()) {
    ++counters_.aborted;
    ++counters.failed;
  } else if (outcome.status != scsi::status::good && outcome.status != scsi::status::condition_met) {
    ++counter_of(counters, outcome);
  } else {
    counters.octets += std::min(t.length_in, t.expected_data_in) + std::min(t.length_out, t.expected_data_out);
  }
  if (!snapshot_->owned) return;
  const port::i_t_nexus& from = *c.nexus->identity;
  ++came_by_[from.relayed ? gateway_of(from.id) : options_.gateway];
}

}  // namespace sluice::unit
