#include "tiers/store/descriptor_channel.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace sluice::store {
namespace {

constexpr std::uint64_t bounce_limit = 256 * kib;
constexpr std::uint64_t reserve_length = 64 * kib;
constexpr std::size_t page = 4096;
constexpr std::uint64_t settle_pause_ns = 100'000;

}  // namespace

void descriptor_channel::free_memory::operator()(std::uint8_t* memory) const noexcept {
  std::free(memory);
}

descriptor_channel::descriptor_channel(descriptor& medium, reactor::loop& loop)
    : medium_(medium), loop_(loop), reserve_(static_cast<std::uint8_t*>(std::aligned_alloc(page, reserve_length))) {
  SLUICE_CHECK(reserve_ != nullptr);
}

// A job without an operation is one that a crash of the (simulated) machine left behind: the loop forgot it as well.
descriptor_channel::~descriptor_channel() {
  SLUICE_CHECK(!finish_queued_.queued_ && !settle_soon_.queued_);
  if (settle_timer_.armed()) loop_.disarm(settle_timer_);
  for (const auto& job : jobs_) SLUICE_CHECK(!job->in_flight());
}

/// Answers a map request that needs no look at the medium.
bool descriptor_channel::mapped_already(request& r) const noexcept {
  r.extents->clear();
  if (r.extent_limit == 0 || r.length_bytes == 0) return true;
  if (medium_.maps.load(std::memory_order_relaxed)) return false;
  append_extent(*r.extents, {r.offset_bytes, r.length_bytes, true});
  return true;
}

void descriptor_channel::submit(request& r) noexcept {
  SLUICE_CHECK(r.offset_bytes <= medium_.reach() && r.length_bytes <= medium_.reach() - r.offset_bytes);
  if (r.what == verb::map ? mapped_already(r) : r.length_bytes == 0 && r.what != verb::flush) return finish_later(r);
  if (is_cut_off(r)) [[unlikely]]
    return finish_later(r);
  if (!free_) {
    jobs_.push_back(std::make_unique<descriptor_job>(*this, medium_));
    free_ = jobs_.back().get();
  }
  descriptor_job& job = *free_;
  free_ = job.next_job_;
  job.start(r);
}

void descriptor_channel::give_back(descriptor_job& job) noexcept {
  job.next_job_ = free_;
  free_ = &job;
}

/// Whether the range reaches behind the end of a medium that was cut short: written there, it would be a file with a
/// hole that reads as zeroes.
bool descriptor_channel::is_cut_off(const request& r) const noexcept {
  return r.what != verb::flush && r.offset_bytes + r.length_bytes > medium_.condition->cut();
}

void descriptor_channel::finish_later(request& r) noexcept {
  finished_.push(r);
  loop_.defer(finish_queued_);
}

void descriptor_channel::finish_queued() noexcept {
  request_queue finished;
  std::swap(finished, finished_);
  while (!finished.empty()) {
    request& r = finished.pop();
    const bool cut_off = r.length_bytes != 0 && is_cut_off(r);
    if (cut_off) r.failed_offset = std::max(r.offset_bytes, medium_.condition->cut());
    r.done(cut_off ? status::medium_error : status::good);
  }
}

memory::slice descriptor_channel::take_bounce(std::uint64_t octets) noexcept {
  octets = std::min(octets, bounce_limit);
  memory::slice taken = loop_.buffers().take(static_cast<std::uint32_t>(octets));
  if (!taken.empty()) return taken;
  if (!reserve_taken_) {
    reserve_taken_ = true;
    return memory::slice::borrow(reserve_.get(), static_cast<std::uint32_t>(std::min(octets, reserve_length)));
  }
  return {};
}

void descriptor_channel::wait_for_bounce(descriptor_job& job) noexcept {
  job.next_job_ = nullptr;
  (waiting_first_ ? waiting_last_->next_job_ : waiting_first_) = &job;
  waiting_last_ = &job;
}

/// Syncs of this core let it settle at once; for those of other cores the clock does.
void descriptor_channel::wait_for_syncs(descriptor_job& job) noexcept {
  job.next_job_ = unsettled_;
  unsettled_ = &job;
  if (!settle_timer_.armed()) loop_.arm(settle_timer_, settle_pause_ns);
}

void descriptor_channel::settle_waiting() noexcept {
  descriptor_job* waiting = std::exchange(unsettled_, nullptr);
  while (waiting) std::exchange(waiting, waiting->next_job_)->waiting().resume();
}

/// What is queued has somebody waiting until it runs: a channel that nobody waits for may go.
void descriptor_channel::settle_in_time() noexcept {
  if (!settle_soon_.queued_) settle_waiting();
}

void descriptor_channel::drop_bounce(memory::slice& bounce) noexcept {
  if (bounce.empty()) return;
  if (bounce.data() == reserve_.get()) reserve_taken_ = false;
  bounce = {};
  if (descriptor_job* job = waiting_first_) {
    waiting_first_ = job->next_job_;
    job->waiting().resume();
  }
}

}  // namespace sluice::store
