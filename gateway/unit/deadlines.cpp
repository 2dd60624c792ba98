#include <algorithm>

#include "actors/observe/log.hpp"
#include "gateway/unit/shard.hpp"

// A medium that does not answer. A request cannot be called back, and its buffers must not be used for anything else
// until the medium is done with it. So a task is answered without its request: the request goes on by itself, and its
// blocks are kept from everybody by a range lock on all cores, lest it overtakes what is written later. The task is
// answered only when that range lock stands.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

constexpr std::uint64_t longest_period_ns = 1 * ns_per_s;

std::uint64_t period_ns(const shard_options& options) {
  return std::clamp<std::uint64_t>(options.deadline_ns / 8, ns_per_ms, longest_period_ns);
}

std::uint64_t ticks(std::uint64_t span_ns, const shard_options& options) {
  return (span_ns + period_ns(options) - 1) / period_ns(options);
}

}  // namespace

void shard::watch_clock() noexcept {
  if (!clock_.armed()) loop_.arm(clock_, period_ns(options_));
}

void shard::on_clock() noexcept {
  tick();
  if (!active_.empty() || !waiting_.empty() || flushing_.is_awaited()) watch_clock();
}

void shard::tick() noexcept {
  ++tick_;
  give_up_where([this](const command& c) { return overdue(c); });
  if (flushing_.is_awaited() && tick_ - flushing_.since > ticks(options_.deadline_ns, options_)) flushing_.let_go();
}

/// A host that lost its session must not wait with its next login until a medium answers, nor with its other units; nor
/// whoever fences another host, or escalates from aborts to resets.
void shard::let_go() noexcept {
  give_up_where([](const command& c) {
    return c.with == command::place::medium && !c.abandoned && c.guard == 0 && c.is_aborted();
  });
}

template <class Match>
void shard::give_up_where(Match matches) noexcept {
  std::vector<std::uint64_t> chosen;  // what is given up sets off other things: the lists change
  for (const command_list* list : {&active_, &waiting_})
    for (const command* c = list->head(); c != nullptr; c = c->next)
      if (matches(*c)) chosen.push_back(c->serial);
  for (const std::uint64_t serial : chosen)
    for (const command_list* list : {&active_, &waiting_}) {
      command* c = list->head();
      while (c != nullptr && c->serial != serial) c = c->next;
      if (c == nullptr || !matches(*c)) continue;
      give_up(*c);
      break;
    }
}

bool shard::overdue(const command& c) const noexcept {
  const std::uint64_t age = tick_ - c.since;
  if (c.with == command::place::fabric) return false;  // the fabric sees to that
  if (c.where == command::stage::waiting) {
    // Tasks may wait for each other as long as they like, but not for a medium that does not answer.
    const bool guarded =
        std::any_of(range_locks_.begin(), range_locks_.end(), [](const held_range_lock& f) { return f.range.guard; });
    return (abandoned_ != 0 || guarded || medium_->available() != store::availability::ready) &&
           age > ticks(options_.deadline_ns, options_);
  }
  if (c.with == command::place::range_lock || c.with == command::place::lock)
    return age > ticks(options_.deadline_ns, options_);
  if (c.with != command::place::medium || c.abandoned || c.guard != 0) return false;
  return age > ticks(options_.deadline_ns, options_);
}

void shard::give_up(command& c) noexcept {
  if (c.where == command::stage::waiting) return finish(c, outcomes::busy());
  if (c.with == command::place::medium && c.relayed) return give_up_relayed(c);
  if (c.with == command::place::range_lock || c.with == command::place::lock) {
    c.with = command::place::here;
    c.medium_status = c.has_written ? store::status::timeout : store::status::aborted;
    return c.resume();
  }
  const bool has_the_blocks = c.range_lock_granted && c.range.exclusive && !c.range.ordered;
  if (!store::changes_medium(c.io.what) || has_the_blocks) return abandon(c);
  const std::uint64_t size = block_size();
  const lock_range blocks{.begin = c.io.offset_bytes / size,
                          .end = (c.io.offset_bytes + c.io.length_bytes + size - 1) / size,
                          .exclusive = true,
                          .ordered = false,
                          .guard = true};
  c.guard = range_lock_id(options_.gateway, options_.index, ++range_locks_asked_);
  coordinator_.send(range_lock_request{options_.index, c.guard, blocks});
}

/// Answers the task; the record stays until the medium is done with the request.
void shard::abandon(command& c) noexcept {
  SLUICE_LOG(warning, "unit", "the medium does not answer: a command was given up", {"lba", c.block.lba},
             {"unit", snapshot_->facts.serial}, {"aborted", c.is_aborted()});
  c.abandoned = true;
  ++abandoned_;
  c.kept.swap(c.task->data_out);
  for (memory::slice& each : c.task->destination) c.kept.push_back(std::move(each));
  c.task->destination.clear();
  // To read does nothing: whoever hears BUSY reads again, where ABORTED COMMAND ends a guest's request at once.
  settle(c, c.has_written ? outcomes::aborted(scsi::asc::logical_unit_timeout) : outcomes::busy());
  if (!c.is_aborted()) c.abort_disposition = abort_disposition::silent;  // the job ends at its next step
  if (c.range.ordered && c.range_lock) coordinator_.send(range_lock_release{std::exchange(c.range_lock, 0)});
  if (!drains_.empty()) task_gone(c.serial);
  if (!gate_) return;
  check_quiet();
  advance();
}

/// Whether the medium owes an answer for longer than it may: to this core, or, as a range lock tells, to another. That
/// a predecessor is not over yet says nothing of the medium.
bool shard::is_late() const noexcept {
  return abandoned_ != 0 || std::any_of(range_locks_.begin(), range_locks_.end(), [this](const held_range_lock& f) {
           return f.range.guard && f.id != predecessor_lock_id(options_.gateway);
         });
}

medium_debt shard::debt() const noexcept {
  medium_debt owed{medium_->available(), 0, abandoned_, 0};
  for (const command* c = active_.head(); c != nullptr; c = c->next) {
    if (c->with != command::place::medium || c->abandoned) continue;
    ++owed.waiting;
    owed.oldest_ns = std::max(owed.oldest_ns, (tick_ - c->since) * period_ns(options_));
  }
  return owed;
}

bool shard::overburdened() const noexcept {
  memory::pool& buffers = loop_.buffers();
  return abandoned_ >= options_.max_abandoned || buffers.bytes_in_use() > buffers.limit_bytes() / 2;
}

std::optional<scsi::outcome> shard::unready() const noexcept {
  switch (medium_->available()) {
    case store::availability::ready:
      break;
    case store::availability::stalled:
      return outcomes::not_ready(scsi::asc::becoming_ready);
    case store::availability::gone:
      return outcomes::not_ready(scsi::asc::medium_not_present);
  }
  if (is_late()) return outcomes::not_ready(scsi::asc::becoming_ready);
  return std::nullopt;
}

}  // namespace sluice::unit
