#include "tiers/journal/journal_owner.hpp"

#include <algorithm>
#include <utility>

#include "actors/observe/log.hpp"
#include "tiers/journal/journal_channel.hpp"
#include "tiers/journal/journal_store.hpp"

namespace sluice::journal {

using store::status;
using store::verb;

namespace {

constexpr std::uint64_t rest_ns = 20 * ns_per_ms;
constexpr double nearly_empty = 1.0 / 32;  // of the log

}  // namespace

journal_owner::journal_owner(std::shared_ptr<journal_core> core, std::shared_ptr<store::store> below,
                             ownership_keeper& marks)
    : core_held_(std::move(core)),
      core_(*core_held_),
      below_store_(std::move(below)),
      marks_(marks),
      appender_(core_, *this),
      destager_(core_, *this),
      destaged_(core_.super.tail_sequence - 1) {}

// -- where it sits ---------------------------------------------------------------------------------------------------

void journal_owner::sit_down(reactor::loop& on) {
  seat_ = std::make_unique<seat>(*this, on, below_store_->attach(on));
  rests_until_ns_ = 0;
  wake();
}

void journal_owner::get_up(reactor::loop& on) {
  leaves_ = true;
  seat_->reader.reset();
  seat_->below.reset();  // may answer what it still holds
  leaves_ = false;
  under_way_ = 0;  // but for what a crash of the (simulated) machine made the loop forget, it is
  if (seat_->armed()) on.disarm(*seat_);
  if (!seat_->queued_) return seat_.reset();
  seat_->owner = nullptr;
  static_cast<void>(seat_.release());  // it goes when its turn comes, with nothing of the store
}

void journal_owner::seat::run() noexcept {
  if (owner) return owner->turn();
  delete this;
}

void journal_owner::send(journal_job& job, const reactor::loop& from) noexcept {
  const bool is_first = inbox_.push(job);
  if (here() == &from) {
    rests_until_ns_ = 0;
    return wake();
  }
  // Whoever put the first job in has poked already, and a poke reaches the owner wherever it has moved to.
  if (is_first) poke();
}

void journal_owner::wake() noexcept {
  if (!leaves_) seat_->loop.defer(*seat_);
}

bool journal_owner::may_leave(const reactor::loop& on) noexcept {
  if (stays_without(on)) return true;
  rests_until_ns_ = loop().now_ns() + rest_ns;
  return under_way_ == 0;
}

void journal_owner::want_passing(bool wanted) noexcept {
  wants_passing_.store(wanted, std::memory_order_seq_cst);
  wishes_.fetch_add(1, std::memory_order_seq_cst);
  poke();
}

bool journal_owner::is_passing() noexcept {
  // The state is that of the last wish only if the owner's turn has counted all wishes; it stores the count after the
  // state.
  const std::uint64_t heard = wishes_heard_.load(std::memory_order_seq_cst);
  if (heard == wishes_.load(std::memory_order_seq_cst)) return core_.now == state::passing;
  // Without channels there is nobody to hear of it, nor to write.
  return !has_users() && core_.index.empty();
}

void journal_owner::want_destage_delay(std::uint64_t ns) noexcept {
  core_.destage_delay_ns.store(ns, std::memory_order_seq_cst);
  poke();
}

std::uint64_t journal_owner::want_destaged() noexcept {
  wants_epoch_.store(true, std::memory_order_seq_cst);
  poke();
  return core_.figures.last_record.load(std::memory_order_seq_cst);
}

// -- turns -----------------------------------------------------------------------------------------------------------

void journal_owner::ended() noexcept {
  SLUICE_CHECK(under_way_ != 0);
  --under_way_;
  wake();
}

/// The order matters: what came is routed under the state that the turn before left, then the state changes with
/// nothing half routed, records are built under the new one, and epochs close behind them.
void journal_owner::turn() noexcept {
  const std::uint64_t now_ns = loop().now_ns();
  if (now_ns < rests_until_ns_) return loop().arm(*seat_, rests_until_ns_ - now_ns);
  take_inbox();
  while (!granted_.empty()) route(granted_.pop());
  change_state();
  pumped_ = core_.now == state::journaling ? appender_.pump(now_ns) : appender::outcome::nothing_waits;
  close_epochs(now_ns);
  destager_.look();
  pass_what_may();
  arm_timer(now_ns);
}

/// Oldest first: writes of one core to the same blocks keep their order.
void journal_owner::take_inbox() noexcept {
  for (journal_job* next = inbox_.take(); next;) {
    journal_job& job = *next;
    next = job.next;
    enter(job);
  }
}

void journal_owner::enter(journal_job& job) noexcept {
  job.arrive(*this);
  job.arrived_ns = loop().now_ns();
  if (job.asked().what == verb::flush) {
    if (core_.wanted.is_volatile) return wait_for_all_before(job);
    core_.close_epoch();
    // What was acknowledged is durable, but for what went below before the journal.
    return core_.below_is_flushed ? finish(job) : pass(job);
  }
  if (!job.changes() || locks_.lock(job)) route(job);
}

void journal_owner::granted(journal_job& job) noexcept {
  granted_.push(job);
  wake();
}

/// The job has its blocks to itself.
void journal_owner::route(journal_job& job) noexcept {
  if (job.changes() && core_.now != state::journaling) return held_.push_back(&job);
  if (!job.is_journaled()) return wait_for_all_before(job);
  job.prepare();
}

/// Until what was written before is below; then the job passes.
void journal_owner::wait_for_all_before(journal_job& job) noexcept {
  core_.close_epoch();
  job.barrier = core_.next_sequence - 1;
  barriers_.push_back(&job);
}

/// Who waits for memory to be durable hears that the store below refuses; what is written stays, and is tried again.
void journal_owner::refuse_barriers() noexcept {
  for (journal_job* each : std::exchange(barriers_, {})) {
    each->fail(destager_.failed_as());
    finish(*each);
  }
}

void journal_owner::pass_what_may() noexcept {
  if (core_.wanted.is_volatile && destager_.due_ns() > loop().now_ns()) refuse_barriers();
  while (!barriers_.empty() && (barriers_.front()->barrier <= destaged_ || core_.now == state::passing)) {
    journal_job& job = *barriers_.front();
    barriers_.pop_front();
    pass(job);
  }
  if (core_.now != state::passing) return;
  for (journal_job* each : std::exchange(held_, {})) pass(*each);
}

void journal_owner::pass(journal_job& job) noexcept {
  // Over memory, too, what goes past the log while it is in use, or for ever because the memory failed, is durable at
  // once: a durable write that comes later stands for all that was acknowledged before it, and flushes nothing but what
  // the log holds.
  const bool instead_of_log = core_.now == state::journaling || core_.flash_failed();
  job.ask_below(job.changes() && (!core_.wanted.is_volatile || instead_of_log));
  begins();
  below().submit(job);
}

void journal_owner::read(journal_job& job) noexcept {
  begins();
  seat_->reader->read(job);
}

// -- states ----------------------------------------------------------------------------------------------------------
//
//                 what the log holds is below, and may_pass()
//     draining --------------------------------------------------> passing
//        |  ^                                                      |   |
//        |  |   others wrote below and left it to a flush          |   |
//        |  +------------------------------------------------------+   |
//        |  ^                                                          |
//        |  |   shall pass, and little is left; or the flash failed    |
//        v  |                                                          v
//     journaling <------------------------------------------------- shall journal, and may_journal()
//
// Writes are held in `draining` only. A flash that failed never journals again: draining, then passing.

void journal_owner::change_state() noexcept {
  const std::uint64_t wishes = wishes_.load(std::memory_order_seq_cst);
  const bool shall_pass = wants_passing_.load(std::memory_order_seq_cst) || core_.flash_failed();
  appender_.set_emptying(shall_pass);
  // Who takes the store away has time: writers are held only for the last of it.
  // journaling -> draining: only when little is left, for writers wait from then on; a flash that failed leaves no
  // choice.
  if (core_.now == state::journaling && shall_pass && (core_.flash_failed() || core_.fill() < nearly_empty))
    core_.now = state::draining;
  // passing -> draining: writers are held until what others wrote is durable.
  if (core_.now == state::passing && !core_.may_pass()) core_.now = state::draining;
  // draining or passing -> journaling: what was held goes to the log, in the order in which it came.
  if (core_.now != state::journaling && !shall_pass && core_.may_journal()) {
    core_.now = state::journaling;
    for (journal_job* each : std::exchange(held_, {})) route(*each);
  }
  // Also one that became ready only after the change.
  if (core_.now != state::journaling && appender_.quiet())
    for (journal_job* each : appender_.take_waiting()) held_.push_back(each);
  if (core_.now == state::draining) {
    core_.close_epoch();
    const bool is_empty = appender_.empty() && core_.records.empty() && !destager_.at_work() && !disowning_;
    if (is_empty && core_.may_pass()) drained();
  }
  wishes_heard_.store(wishes, std::memory_order_seq_cst);
}

void journal_owner::below_flushed() noexcept {
  if (!core_.below_is_flushed.exchange(true) && core_.wanted.was_volatile) core_.listeners.tell();
}

/// Nothing of the log is missing below.
void journal_owner::drained() noexcept {
  if (core_.flash_failed() && !voided_ && !core_.wanted.is_volatile) {
    // A record that failed may be on flash all the same: it must never be found.
    core_.restart_log(core_.next_sequence + void_margin, loop().random());
    voided_ = true;
    return static_cast<void>(destager_.write_what_is());
  }
  // What was lost was written anew, and the flash must not tell of it any more once the medium is free.
  if (core_.has_regained()) return static_cast<void>(destager_.write_what_is());
  // draining -> passing: the log is empty, and void on flash if it failed.
  core_.epochs.clear();
  core_.now = state::passing;
  // The medium lacks nothing: it may be used without the journal, also after a crash.
  // A claim that is made after this count was taken wins over the clearing.
  const std::uint64_t claims = marks_.claims();
  if (wants_passing_.load(std::memory_order_seq_cst) && !core_.any_lost() && !core_.wanted.is_volatile)
    marks_.clear_off_loop(claims);
}

/// A log that cannot be made void must not be found: failing that on flash, the medium disowns it, before anything
/// passes by. One that lacks data goes on to say so: nobody uses it without being told.
void journal_owner::superblock_written(bool good) noexcept {
  if (good) return;
  disowning_ = true;
  const std::string holder = core_.any_lost() ? holder_name(core_.super) : std::string();
  marks_.disown_off_loop(holder, [held = weak_from_this()](bool known) {
    const auto self = std::static_pointer_cast<journal_owner>(held.lock());
    if (!self) return;
    if (!known) self->core_.set_stale();
    self->disowning_ = false;
    self->poke();
  });
}

void journal_owner::close_epochs(std::uint64_t now_ns) noexcept {
  const bool empties = wants_passing_.load(std::memory_order_relaxed) && !destager_.at_work();
  if (wants_epoch_.exchange(false, std::memory_order_seq_cst) || empties || pumped_ == appender::outcome::full ||
      core_.open_blocks() >= core_.slots / 8)
    core_.close_epoch();
  const std::uint64_t latest_ns = now_ns + core_.destage_delay_ns;
  if (!core_.epoch_is_open()) {
    epoch_due_ns_ = 0;
  } else if (epoch_due_ns_ == 0) {
    epoch_due_ns_ = latest_ns;
  } else if (now_ns >= epoch_due_ns_) {
    core_.close_epoch();
    epoch_due_ns_ = 0;
  } else {
    epoch_due_ns_ = std::min(epoch_due_ns_, latest_ns);  // the delay may have become shorter
  }
}

void journal_owner::arm_timer(std::uint64_t now_ns) noexcept {
  std::uint64_t due_ns = UINT64_MAX;
  if (epoch_due_ns_ != 0) due_ns = epoch_due_ns_;
  if (pumped_ == appender::outcome::slowed) due_ns = std::min(due_ns, now_ns + appender_.pause_ns(now_ns));
  if (const std::uint64_t retry = destager_.due_ns(); retry != 0) due_ns = std::min(due_ns, retry);
  if (due_ns != UINT64_MAX) return loop().arm(*seat_, due_ns > now_ns ? due_ns - now_ns : 0);
  if (seat_->armed()) loop().disarm(*seat_);
}

// -- the end of a job ------------------------------------------------------------------------------------------------

void journal_owner::written(journal_job& job) noexcept {
  core_.figures.write.record(loop().now_ns() - job.arrived_ns);
  finish(job);
}

void journal_owner::passed(journal_job& job) noexcept {
  const store::request& r = job.asked();
  // What the store below refused is not there: whatever was lost of it stays so.
  if (job.changes() && job.outcome() == store::status::good)
    core_.found_again((r.offset_bytes + block_bytes - 1) / block_bytes,
                      (r.offset_bytes + r.length_bytes) / block_bytes);
  finish(job);
}

void journal_owner::finish(journal_job& job) noexcept {
  if (job.changes()) locks_.unlock(job);
  job.from().finished(job, *here());
}

}  // namespace sluice::journal
