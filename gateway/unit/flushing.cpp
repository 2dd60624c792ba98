#include "gateway/unit/jobs.hpp"

// What was acknowledged and may be in a volatile cache: which flush makes it durable, and who hears when one fails.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

flush_end how_ended(store::status outcome) {
  if (outcome == store::status::good) return flush_end::good;
  return outcome == store::status::aborted ? flush_end::not_done : flush_end::failed;
}

}  // namespace

/// Whether the command's GOOD status says nothing of the medium yet.
bool shard::may_be_volatile(const command& c) const noexcept {
  return c.row && c.row->writes_medium && snapshot_->writes_back() && !c.block.fua && !c.is_aborted() &&
         c.row->what != scsi::command::write_and_verify;
}

bool is_overtaken(const shard& s, const command& c) {
  return store::changes_medium(c.io.what) && !c.io.fua && c.task && must_be_durable(s, c);
}

void shard::prepare_flush(command& c) noexcept {
  c.parts.clear();
  prepare(c, store::verb::flush, 0, 0);
  c.medium_status = store::status::aborted;
}

/// Not before it goes to the medium: a task may wait in between, and what is flushed meanwhile is not beside it.
void shard::begin_flush(command& c) noexcept {
  c.flush = options_.flushes->begin();
}

void shard::end_flush(std::uint64_t number, store::status outcome) noexcept {
  const flush_end how = how_ended(outcome);
  options_.flushes->end(number, how);
  hear_of_failures();
  if (how == flush_end::failed) coordinator_.send(flush_failed{});
}

void shard::hear_of_failures() noexcept {
  const auto failure = options_.flushes->failed_since(failures_seen_);
  if (!failure) return;
  failures_seen_ = failure->number;
  for (auto& [id, n] : nexuses_) {
    if (n->written <= failure->durable) continue;
    n->written = 0;
    n->attentions.with_deferred([&](deferred_error& e) { e.establish(failure->number); });
    review(*n);
  }
}

void shard::on(flush_failed&) {
  hear_of_failures();
}

scsi::outcome shard::flushed(command& c, store::status outcome) noexcept {
  if (!c.nexus) return outcomes::busy();  // the task was answered without it
  // No status of this command tells how a flush ended: not its own, nor one before it.
  if (outcome == store::status::aborted) return outcome_of(outcome, c.io, block_size());
  // A flush that found nothing wrong may come after one that did: what the nexus wrote is lost all the same.
  const bool lost = c.nexus->attentions.with_deferred([this](deferred_error& e) {
    const bool pending = e.pending();
    e.told(failures_seen_);
    return pending;
  });
  review(*c.nexus);
  if (outcome == store::status::good && lost) return outcomes::write_error();
  return outcome_of(outcome, c.io, block_size());
}

// -- flushes that no command waits for -----------------------------------------------------------------------------

/// Its status does not wait for the medium. Who asks for a flush hears of its failure, whether he has written or not.
void shard::flush_in_background(command& c) noexcept {
  c.nexus->written = options_.flushes->mark();
  when_flushed({});
}

/// `then` runs when all that was acknowledged before is on the medium, or that has failed.
void shard::when_flushed(std::function<void()> then) {
  if (flushing_.busy) {
    flushing_.again = true;
    if (!then) return;
    flushing_.next_ones.push_back(std::move(then));
    if (options_.deadline_ns != 0) watch_clock();
    return;
  }
  if (then) flushing_.waiting.push_back(std::move(then));
  begin_background_flush();
}

void shard::begin_background_flush() noexcept {
  flushing_.what = store::verb::flush;
  flushing_.number = options_.flushes->begin();
  flushing_.since = tick_;
  flushing_.busy = true;
  store::status outcome = store::status::good;
  if (medium_->try_now(flushing_, outcome)) return flushing_.done(outcome);
  if (options_.deadline_ns != 0 && !flushing_.waiting.empty()) watch_clock();
  medium_->submit(flushing_);
}

void shard::background_flush::done(store::status outcome) noexcept {
  busy = false;
  owner_.end_flush(number, outcome);
  for (const auto& then : std::exchange(waiting, std::exchange(next_ones, {}))) then();
  if (std::exchange(again, false)) owner_.begin_background_flush();
}

}  // namespace sluice::unit
