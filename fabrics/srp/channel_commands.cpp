#include <algorithm>
#include <atomic>
#include <utility>

#include "fabrics/rdma/plan.hpp"
#include "fabrics/srp/channel.hpp"
#include "fabrics/srp/functions.hpp"
#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::srp {

/// A message of the initiator's; its memory is posted again after the call.
void channel::take(const_bytes iu) {
  if (ending_ || iu.empty()) return;
  switch (static_cast<opcode>(iu[0])) {
    case opcode::command:
      return take_command(iu);
    case opcode::task_management:
      return take_management(iu);
    case opcode::initiator_logout:
      return end(port::loss_reason::logout);
    case opcode::credit_response:
      if (!std::exchange(asked_for_credits_, false)) return violation("a credit response that nobody asked for");
      return ask_credits_back();
    case opcode::event_response:
      if (!std::exchange(told_event_, false)) return violation("an event response that nobody asked for");
      return send_events();
    default:
      return violation("an IU that no initiator sends");
  }
}

bool channel::spend_credit() {
  if (given_ == 0) {
    violation("more requests than the request limit allows");
    return false;
  }
  --given_;
  return true;
}

// -- commands --------------------------------------------------------------------------------------------------------

void channel::take_command(const_bytes iu) {
  auto asked = decode_command(iu, immediate_offset_);
  if (!asked) return violation(asked.error().message.c_str());
  if (!spend_credit()) return;
  if (running_.contains(asked->tag)) return violation("a tag that is in use");
  if (free_.empty()) free_.push_back(&all_.emplace_back());
  running& r = *free_.back();
  free_.pop_back();
  running_.emplace(asked->tag, &r);
  r.what = std::move(*asked);
  r.with = holder::loading;
  port::task& t = r.task;
  t.nexus = nexus_->identity();
  t.fabric = this;
  t.fabric_private = &r;
  t.payer = &*share_;
  t.lun = r.what.lun;
  t.tag = r.what.tag;
  t.attribute = r.what.attribute;
  t.expected_data_out = r.what.out.length;
  t.expected_data_in = r.what.in.length;
  t.arrived_ns = loop_.now_ns();
  if (r.what.cdb.size() + r.what.additional_cdb.size() > port::max_cdb_bytes)
    return refuse(r, scsi::outcomes::invalid_field_in_cdb(0));
  t.set_cdb(r.what.cdb, r.what.additional_cdb);
  if (const const_bytes data = r.what.out.immediate; !data.empty()) {
    // Copied, so that the buffer that it came in is posted again at once, whatever becomes of the task.
    memory::slice copy = loop_.buffers().take(static_cast<std::uint32_t>(data.size()), *share_);
    if (copy.empty()) return refuse(r, scsi::outcomes::task_set_full());
    std::ranges::copy(data, copy.data());
    t.data_out.push_back(copy.sub(0, static_cast<std::uint32_t>(data.size())));
    t.data_out_end = data.size();
  }
  r.what.cdb = r.what.additional_cdb = r.what.out.immediate = {};
  load(r);
}

/// Fetches the tables of data buffers that did not come with the command, one at a time; then it is the unit's.
void channel::load(running& r) {
  const bool out = r.what.out.external;
  if (!out && !r.what.in.external) return submit(r);
  const memory_descriptor& where = out ? r.what.out.table : r.what.in.table;
  memory::slice table = loop_.buffers().take(where.length, *share_);
  if (table.empty()) return refuse(r, scsi::outcomes::task_set_full());
  exchange& e = *new_exchange(out ? exchange::kind::load_out : exchange::kind::load_in, &r);
  e.memory.push_back(table.sub(0, where.length));
  rdma::plan(rdma::request::kind::read, {&where, 1}, 0, e.memory, max_parts_read_, e.chain);
  sends_.push(e, rdma::send_queue::lane::data);
}

void channel::loaded(running& r, data_buffer& table_of, const memory::slice& table) {
  if (r.dropped) {
    ++owed_;
    give_back(r);
    return ask_credits_back();
  }
  auto pieces = decode_table(table.span(), table_of.length);
  if (!pieces) return violation(pieces.error().message.c_str());
  table_of.pieces = std::move(*pieces);
  table_of.external = false;
  load(r);
}

void channel::submit(running& r) {
  r.with = holder::unit;
  nexus_->submit(r.task);
}

/// A command ends before the unit has seen it.
void channel::refuse(running& r, const scsi::outcome& why) {
  r.verdict = why;
  finish(r);
}

/// The record of a command that has ended.
void channel::give_back(running& r) {
  if (r.under_way) r.under_way->of = nullptr;  // a table that is being fetched
  running_.erase(r.what.tag);
  r.task.reset();
  r.what = {};
  r.with = holder::loading;
  r.under_way = nullptr;
  r.sent = 0;
  r.dropped = false;
  r.verdict.reset();
  free_.push_back(&r);
}

// -- task management -------------------------------------------------------------------------------------------------

void channel::take_management(const_bytes iu) {
  const auto asked = decode_task_management(iu);
  if (!asked) return violation(asked.error().message.c_str());
  if (!spend_credit()) return;
  const auto function = function_of(asked->function);
  auto made = std::make_unique<managed>();
  made->tag = asked->tag;
  port::task_management& request = made->request;
  managed_.emplace(&request, std::move(made));
  request.response = port::task_response::not_supported;
  if (!function) return managed_done(request);
  request.function = *function;
  request.lun = asked->lun;
  request.referenced_tag = asked->referenced_tag;
  request.reply_to = this;
  request.nexus = nexus_->identity();
  drop_loading(*asked);
  nexus_->manage(request);
}

/// What the function is to end may be ours still.
void channel::drop_loading(const task_management& what) {
  const auto function = function_of(what.function);
  if (function == port::task_function::clear_aca) return;
  for (const auto& [tag, r] : running_)
    if (r->with == holder::loading && port::same_unit(r->what.lun, what.lun) &&
        (function != port::task_function::abort_task || tag == what.referenced_tag))
      r->dropped = true;
}

/// What the function has ended may have data under way by other channels, which nothing orders with our answer: they
/// are waited for, or an initiator that is told might get them into memory that it has put to another use.
void channel::managed_done(port::task_management& request) {
  const auto others = request.nexus ? port_->others(*this, nexus_id_) : std::vector<std::shared_ptr<channel>>();
  if (others.empty()) return answer_management(request);
  const auto left = std::make_shared<std::atomic<std::size_t>>(others.size());
  const auto one_settled = [self = self_, &request, left] {
    if (--*left == 0) self->loop_.post([self, &request] { self->answer_management(request); });
  };
  for (const auto& each : others) each->loop_.post([each, one_settled] { each->settle(one_settled); });
}

void channel::settle(std::function<void()> settled) {
  settling_.push_back(std::move(settled));
  check_settled();
}

void channel::check_settled() {
  if (orphans_ > 0) return;
  for (const auto& each : std::exchange(settling_, {})) each();
}

void channel::answer_management(port::task_management& request) {
  const auto done = std::move(managed_.extract(&request).mapped());
  if (ending_) return loop_.defer(deliver_);
  response said;
  said.tag = done->tag;
  said.has_code = true;
  said.code = code_of(done->request.response);
  respond(*new_exchange(exchange::kind::answer, nullptr), said);
}

}  // namespace sluice::srp
