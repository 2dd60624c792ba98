#include "tiers/journal/appender.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "actors/wire/crc.hpp"
#include "tiers/journal/journal_owner.hpp"

namespace sluice::journal {
namespace {

constexpr double high_water = 0.75;  // of the log: beyond it each record waits, the longer the fuller it is
constexpr double longest_pause_ns = 20 * ns_per_ms;

}  // namespace

appender::appender(journal_core& core, journal_owner& owner) : core_(core), owner_(owner) {
  for (record& each : records_) {
    each.owner = this;
    free_.push_back(&each);
  }
}

void appender::add(journal_job& job) noexcept {
  job.rewind();
  waiting_.push_back(&job);
}

appender::outcome appender::pump(std::uint64_t now_ns) noexcept {
  while (!waiting_.empty()) {
    // After a record that failed nothing new is written: those behind it end first, then all of them go back
    // (give_up).
    if (free_.empty() || (!in_flight_.empty() && !in_flight_.front()->good && in_flight_.front()->done))
      return outcome::busy;
    if (!core_.has_room()) return outcome::full;
    if (now_ns < next_record_ns_) return outcome::slowed;
    record& r = *free_.back();
    free_.pop_back();
    build(r);
    slow_down(now_ns);
  }
  return outcome::nothing_waits;
}

void appender::build(record& r) noexcept {
  if (!r.memory) r.memory = allocate_blocks(core_.super.record_blocks);
  r.jobs.clear();
  r.done = r.good = false;
  r.header = {core_.super.id, core_.next_sequence, core_.life, core_.last_life, core_.acknowledged, {}};
  std::vector<record_header::entry> zeroes;
  const std::size_t most = core_.super.record_blocks - 1;
  std::vector<record_header::entry>& entries = r.header.entries;
  while (!waiting_.empty() && entries.size() + zeroes.size() < most) {
    journal_job& job = *waiting_.front();
    r.jobs.push_back(&job);
    // A job that does not fit goes on in the next record. It is answered when the last of its records is durable, and
    // those before it are, too.
    ++job.records_left;
    while (job.has_more() && entries.size() + zeroes.size() < most) {
      const journal_job::block next = job.peek();
      if (next.what != kind::data) {
        job.take(nullptr);
        zeroes.push_back({next.number, next.what, 0});
        continue;
      }
      std::uint8_t* const to = r.memory.get() + (entries.size() + 1) * block_bytes;
      job.take(to);
      entries.push_back({next.number, kind::data, wire::crc32c({to, block_bytes})});
    }
    if (job.has_more()) break;
    waiting_.pop_front();
  }
  const std::size_t data = entries.size();
  entries.insert(entries.end(), zeroes.begin(), zeroes.end());
  encode(r.header, {r.memory.get(), block_bytes});
  r.position = core_.place(core_.head);
  core_.head = r.position + r.header.blocks();
  ++core_.next_sequence;
  core_.last_life = core_.life;
  core_.note_use();
  r.part = {r.memory.get(), (data + 1) * block_bytes};
  in_flight_.push_back(&r);
  owner_.begins();
  // Durable by itself: an acknowledgement costs one write and no flush.
  owner_.loop().write(r, core_.flash.handle, &r.part, 1, offset_of(core_.slot_of(r.position)), true);
}

/// A log that fills makes its writers slower before it makes them wait.
void appender::slow_down(std::uint64_t now_ns) noexcept {
  const double excess = emptying_ ? 1 : (core_.fill() - high_water) / (1 - high_water);
  if (excess <= 0) return;
  next_record_ns_ = now_ns + static_cast<std::uint64_t>(excess * longest_pause_ns);
  core_.figures.throttled_records.fetch_add(1, std::memory_order_relaxed);
}

void appender::completed(record& r, std::int64_t result) noexcept {
  r.done = true;
  r.good = result == static_cast<std::int64_t>(r.part.iov_len);
  // Records end in any order and count in theirs: recovery stops at the first gap, so a record behind one is not
  // there.
  while (!in_flight_.empty() && in_flight_.front()->done && in_flight_.front()->good) {
    record& next = *in_flight_.front();
    in_flight_.pop_front();
    commit(next);
    free_.push_back(&next);
  }
  const auto under_way = [](const record* each) { return !each->done; };
  if (!in_flight_.empty() && std::none_of(in_flight_.begin(), in_flight_.end(), under_way)) give_up();
  owner_.ended();
}

/// The record and all before it are durable: its blocks are dirty from now on, and its jobs may be answered.
void appender::commit(record& r) noexcept {
  for (std::size_t i = 0; i < r.header.entries.size(); ++i) {
    const record_header::entry& each = r.header.entries[i];
    core_.index.insert(each.block, {core_.slot_of(r.position + 1 + i), each.what, each.crc});
    core_.found_again(each.block, each.block + 1);
  }
  core_.records.push_back({r.position, r.header.sequence, r.header.life, r.header.blocks()});
  core_.acknowledged = r.header.sequence;
  // Before any job of it is answered: want_destaged(), on another thread, covers whatever was acknowledged by then.
  core_.figures.last_record.store(r.header.sequence, std::memory_order_seq_cst);
  core_.figures.records.fetch_add(1, std::memory_order_relaxed);
  core_.figures.written_bytes.fetch_add(r.part.iov_len, std::memory_order_relaxed);
  for (journal_job* job : r.jobs)
    if (--job->records_left == 0 && !job->has_more()) owner_.written(*job);
}

/// A record could not be written: nobody was told of it, nor of those behind it. What they held waits again.
void appender::give_up() noexcept {
  core_.retract(in_flight_.front()->position, in_flight_.front()->header.sequence);
  std::deque<journal_job*> again;
  for (record* each : in_flight_) {
    for (journal_job* job : each->jobs)
      if (std::find(again.begin(), again.end(), job) == again.end()) again.push_back(job);
    free_.push_back(each);
  }
  in_flight_.clear();
  for (journal_job* job : waiting_)
    if (std::find(again.begin(), again.end(), job) == again.end()) again.push_back(job);
  for (journal_job* job : again) job->rewind();
  waiting_ = std::move(again);
  core_.fail_flash("records cannot be written");
}

}  // namespace sluice::journal
