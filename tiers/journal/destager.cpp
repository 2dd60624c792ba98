#include "tiers/journal/destager.hpp"

#include <algorithm>
#include <utility>

#include "tiers/journal/journal_owner.hpp"

namespace sluice::journal {
namespace {

constexpr std::uint64_t shortest_pause_ns = 100 * ns_per_ms;
constexpr std::uint64_t longest_retry_ns = 10 * ns_per_s;

}  // namespace

destager::destager(journal_core& core, journal_owner& owner) : core_(core), owner_(owner) {
  for (auto& each : batches_) each = std::make_unique<destage_batch>();
  flush_.owner = this;
  flush_.what = store::verb::flush;
  copy_.owner = this;
}

void destager::look() noexcept {
  if (failures_ != 0 && owner_.loop().now_ns() < resume_ns_) return;
  if (std::exchange(waits_for_turn_, false)) return place_.resume();
  if (at_work_) return;
  if (plan_run()) {
    bring_run();
  } else if (must_flush()) {
    flush_what_was_below();
  }
}

void destager::rest() noexcept {
  at_work_ = false;
  place_.let_go();
  owner_.wake();
}

/// Epochs that are closed and durable, as many as make a run of an eighth of the log, are brought below together: a
/// flush for each would cost more than what it orders.
bool destager::plan_run() noexcept {
  const log_position limit = core_.slots / 8;
  run_epochs_ = 0;
  for (const std::uint64_t end : core_.epochs) {
    if (end > core_.acknowledged) break;
    const auto after = core_.record_behind(end);
    // An epoch that is larger than a run goes alone.
    if (run_epochs_ != 0 && std::prev(after)->position - core_.tail > limit) break;
    run_end_ = end;
    ++run_epochs_;
  }
  return run_epochs_ != 0;
}

/// In this order, each step only when the one before is durable: the blocks below; the superblock, which says that the
/// log begins behind them; their slots free for new records. A crash between any two finds blocks in both places, never
/// in neither.
routine destager::bring_run() noexcept {
  at_work_ = true;
  core_.figures.run_end.store(run_end_, std::memory_order_relaxed);
  run_started_ns_ = owner_.loop().now_ns();
  run_bytes_ = 0;
  for (bool is_durable = false; !is_durable;) {
    // Again after a flush that failed: what was written since the last one may be lost, and the system tells of it
    // once.
    gather_blocks();
    while (bring_blocks()) co_await next_turn();
    is_durable = co_await flush();
    if (!is_durable) co_await next_turn();
  }
  // The run is durable below: only now the log may begin behind it.
  core_.plan_tail(*std::prev(core_.record_behind(run_end_)));
  // A copy that is not durable does not stop the end of the run: what recovery would bring below again is there.
  static_cast<void>(co_await write_superblock());
  end_run();
  rest();
}

/// One try: when it fails, look() comes back to it after a pause.
routine destager::flush_what_was_below() noexcept {
  at_work_ = true;
  static_cast<void>(co_await flush());
  rest();
}

routine destager::write_what_is() noexcept {
  SLUICE_CHECK(!at_work_);
  at_work_ = true;
  const bool good = co_await write_superblock();
  owner_.superblock_written(good);
  rest();
}

void destager::gather_blocks() noexcept {
  blocks_.clear();
  next_block_ = 0;
  for (const record_info& record : core_.records) {
    if (record.sequence > run_end_) break;
    for (std::uint32_t i = 1; i < record.blocks; ++i) {
      const slot where = core_.slot_of(record.position + i);
      blocks_.push_back({core_.index.block_at(where), where});
    }
  }
  // In the order of the blocks, because media like that. Within a run the order of writes means nothing: all of it is
  // below before the next run begins.
  std::stable_sort(blocks_.begin(), blocks_.end(), [](const auto& a, const auto& b) { return a.number < b.number; });
  // The newest version of each block is the last one.
  std::size_t kept = 0;
  for (std::size_t i = 0; i < blocks_.size(); ++i)
    if (i + 1 == blocks_.size() || blocks_[i + 1].number != blocks_[i].number) blocks_[kept++] = blocks_[i];
  blocks_.resize(kept);
}

/// Whether some of the run is not below yet.
bool destager::bring_blocks() noexcept {
  for (destage_batch* each : std::exchange(failed_, {})) {
    ++busy_;
    owner_.begins();
    each->write_again();
  }
  while (busy_ < depth && start_batch()) {
  }
  return busy_ != 0 || next_block_ != blocks_.size() || !failed_.empty();
}

bool destager::start_batch() noexcept {
  if (next_block_ == blocks_.size() || !failed_.empty()) return false;
  const auto idle = std::find_if(batches_.begin(), batches_.end(), [](const auto& each) { return !each->busy(); });
  const kind what = core_.index.place_at(blocks_[next_block_].where).what;
  const std::size_t limit = what == kind::data ? destage_batch::data_limit : destage_batch::zeroes_limit;
  std::vector<destage_batch::block> taken{blocks_[next_block_++]};
  while (next_block_ < blocks_.size() && taken.size() < limit &&
         blocks_[next_block_].number == taken.back().number + 1 &&
         core_.index.place_at(blocks_[next_block_].where).what == what)
    taken.push_back(blocks_[next_block_++]);
  ++busy_;
  owner_.begins();
  (*idle)->start(*this, what, std::move(taken));
  return true;
}

void destager::batch_refused(destage_batch& one, store::status outcome) noexcept {
  --busy_;
  failed_.push_back(&one);
  below_failed("the store below refuses writes", outcome);
  owner_.ended();
}

void destager::batch_ended() noexcept {
  --busy_;
  if (failures_ != 0 && failed_.empty()) {
    failures_ = 0;
    core_.set_below_trouble({});
  }
  owner_.ended();
}

/// Tries again after a pause that doubles, as long as it takes: what is on flash has nowhere else to go.
void destager::below_failed(const char* what, store::status outcome) noexcept {
  failed_as_ = outcome;
  const std::uint64_t pause_ns = std::min(longest_retry_ns, shortest_pause_ns << std::min(failures_, 10u));
  const std::uint64_t now_ns = owner_.loop().now_ns();
  if (now_ns >= resume_ns_) ++failures_;  // those that were under way together count once
  resume_ns_ = std::max(resume_ns_, now_ns + pause_ns);
  core_.figures.below_errors.fetch_add(1, std::memory_order_relaxed);
  core_.set_below_trouble(what);
}

subroutine<bool> destager::flush() noexcept {
  const std::uint32_t others = core_.others_below;
  owner_.begins();
  co_await until(place_, [this] { owner_.below().submit(flush_); });
  owner_.ended();
  core_.lost_below = flush_.said != store::status::good && flush_.loss != 0;
  if (flush_.said == store::status::good) {
    failures_ = 0;
    flush_.written_anew = 0;
    core_.set_below_trouble({});
    if (others == core_.others_below) owner_.below_flushed();
    co_return true;
  }
  below_failed("the store below refuses to flush", flush_.said);
  // Else what others wrote before the journal began may be lost, too.
  if (core_.below_is_flushed) flush_.written_anew = flush_.loss;
  co_return false;
}

/// One copy after the other: a power loss tears one of them at most, and the other says what was true before or is true
/// now.
subroutine<bool> destager::write_superblock() noexcept {
  if (!image_) image_ = allocate_blocks(1);
  ++core_.super.serial;
  core_.sign_superblock();
  encode(core_.super, {image_.get(), block_bytes});
  image_part_ = {image_.get(), block_bytes};
  bool whole = true;
  for (std::uint64_t written = 0; whole && written < superblock_copies; ++written) {
    const std::uint64_t copy = (first_copy_ + written) % superblock_copies;
    owner_.begins();
    co_await until(place_, [this, copy] {
      owner_.loop().write(copy_, core_.flash.handle, &image_part_, 1, copy * block_bytes, true);
    });
    owner_.ended();
    whole = copy_.result == static_cast<std::int64_t>(block_bytes);
    if (!whole) first_copy_ = copy;
  }
  if (!whole) core_.fail_flash("the superblock cannot be written");
  co_return whole;
}

/// All of the run is below, and the superblock says so.
void destager::end_run() noexcept {
  while (!core_.records.empty() && core_.records.front().sequence <= run_end_) {
    const record_info& record = core_.records.front();
    for (std::uint32_t i = 1; i < record.blocks; ++i) {
      const slot where = core_.slot_of(record.position + i);
      core_.index.remove(core_.index.block_at(where), where);
    }
    core_.records.pop_front();
  }
  core_.index.free_removed();
  core_.epochs.erase(core_.epochs.begin(), core_.epochs.begin() + static_cast<std::ptrdiff_t>(run_epochs_));
  core_.reach_tail();
  core_.figures.epochs.fetch_add(run_epochs_, std::memory_order_relaxed);
  core_.figures.destaged_bytes.fetch_add(run_bytes_, std::memory_order_relaxed);
  const std::uint64_t took_ns = std::max<std::uint64_t>(owner_.loop().now_ns() - run_started_ns_, 1);
  core_.figures.destage_bytes_per_s.store(
      static_cast<std::uint64_t>(static_cast<double>(run_bytes_) * 1e9 / static_cast<double>(took_ns)));
  owner_.destaged(run_end_);
}

}  // namespace sluice::journal
