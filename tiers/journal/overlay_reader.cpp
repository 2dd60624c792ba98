#include "tiers/journal/overlay_reader.hpp"

#include <algorithm>
#include <utility>

#include "actors/wire/crc.hpp"

// A read goes window by window, as large as a buffer for flash can be:
//
//   look up which of its blocks are dirty -> read those from flash and the rest from below, all at once -> see that the
//   dirty ones are still where they were -> check them -> lay them over what came from below
//
// It takes no lock: the destager may bring a block below and free its slot meanwhile. Then what was read may be
// neither, and the window begins again; the block is below by then. A block that became dirty meanwhile was written
// while the read was under way: either content is right.
namespace sluice::journal {
namespace {

constexpr std::uint64_t window_blocks = memory::pool::largest / block_bytes;
constexpr unsigned failures_limit = 3;

}  // namespace

// -- one read --------------------------------------------------------------------------------------------------------

void overlay_read::start(store::request& r) noexcept {
  outer_ = &r;
  until_ = r.offset_bytes;
  failures_ = 0;
  from_ = until_;
  begin_window();
}

/// The blocks from from_ on: looked up, then read.
void overlay_read::begin_window() noexcept {
  const std::uint64_t end = outer_->offset_bytes + outer_->length_bytes;
  until_ = std::min(end, (block_of(from_) + window_blocks) * block_bytes);
  outcome_ = store::status::good;
  flash_failed_ = false;
  pieces_used_ = 0;
  if (!look_up()) {
    outcome_ = store::status::medium_error;
    step_ = &overlay_read::finish;
    return owner_.defer(*this);
  }
  if (dirty_.empty() && from_ == outer_->offset_bytes && until_ == end) {
    store::request& r = *std::exchange(outer_, nullptr);
    owner_.give_back(*this);
    return owner_.below_.submit(r);
  }
  if (data_blocks_ != 0 && bounce_.size() < data_blocks_ * block_bytes) {
    bounce_ = {};
    bounce_ = owner_.loop_.buffers().take(static_cast<std::uint32_t>(data_blocks_ * block_bytes));
    step_ = &overlay_read::begin_window;
    if (bounce_.empty()) return owner_.wait(*this);
  }
  start_pieces();
}

/// False when a block of the window was lost.
bool overlay_read::look_up() noexcept {
  journal_core& core = owner_.core_;
  dirty_.clear();
  data_blocks_ = 0;
  freed_ = core.index.freed();
  // freed_ was taken before: a slot that is let go of from here on is noticed.
  for (block_number block = block_of(from_); block * block_bytes < until_; ++block) {
    if (const auto found = core.index.find(block)) {
      dirty_.push_back({block, *found, data_blocks_});
      data_blocks_ += found->what == kind::data ? 1 : 0;
    } else if (core.any_lost() && core.is_lost(block)) {
      outer_->failed_offset = block * block_bytes;
      return false;
    }
  }
  return true;
}

void overlay_read::start_pieces() noexcept {
  pieces_left_ = 1;  // until all are started
  std::uint64_t clean_from = from_;
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    read_below(clean_from, dirty_[i].block * block_bytes);
    clean_from = std::min(until_, (dirty_[i].block + 1) * block_bytes);
    if (dirty_[i].at.what != kind::data) continue;
    std::uint32_t count = 1;
    while (i + 1 < dirty_.size() && dirty_[i + 1].at.what == kind::data && dirty_[i + 1].block == dirty_[i].block + 1 &&
           dirty_[i + 1].at.where == dirty_[i].at.where + 1) {
      ++i;
      ++count;
      clean_from = std::min(until_, (dirty_[i].block + 1) * block_bytes);
    }
    read_flash(dirty_[i + 1 - count], count);
  }
  read_below(clean_from, until_);
  if (--pieces_left_ != 0) return;
  step_ = &overlay_read::window_ended;  // nothing but zeroes
  owner_.defer(*this);
}

overlay_read::piece& overlay_read::take_piece() noexcept {
  if (pieces_used_ == pieces_.size()) pieces_.push_back(std::make_unique<piece>(*this));
  ++pieces_left_;
  return *pieces_[pieces_used_++];
}

void overlay_read::read_below(std::uint64_t from, std::uint64_t until) noexcept {
  if (from >= until) return;
  piece& one = take_piece();
  one.what = store::verb::read;
  one.offset_bytes = from;
  one.length_bytes = until - from;
  one.below_parts.clear();
  store::scatter to(outer_->parts, outer_->part_count);
  to.skip(from - outer_->offset_bytes);
  for (std::uint64_t left = until - from; left != 0;) {
    const bytes part = to.next(left);
    SLUICE_CHECK(!part.empty());
    one.below_parts.push_back({part.data(), part.size()});
    left -= part.size();
  }
  one.parts = one.below_parts.data();
  one.part_count = static_cast<unsigned>(one.below_parts.size());
  owner_.below_.submit(one);
}

void overlay_read::read_flash(const dirty& first, std::uint32_t count) noexcept {
  piece& one = take_piece();
  one.flash_part = {bounce_.data() + first.bounce * block_bytes, count * block_bytes};
  owner_.loop_.read(one, owner_.core_.flash.handle, &one.flash_part, 1, offset_of(first.at.where));
}

void overlay_read::below_ended(piece& one, store::status outcome) noexcept {
  if (outcome != store::status::good) {
    outcome_ = outcome;
    outer_->failed_offset = one.failed_offset;
  }
  piece_ended();
}

void overlay_read::flash_ended(piece& one, std::int64_t result) noexcept {
  flash_failed_ |= result != static_cast<std::int64_t>(one.flash_part.iov_len);
  piece_ended();
}

void overlay_read::piece_ended() noexcept {
  if (--pieces_left_ == 0) window_ended();
}

void overlay_read::window_ended() noexcept {
  if (outcome_ != store::status::good) return finish();
  // Slots that were let go of meanwhile may hold something else by now: their blocks are below.
  if (!still_there()) return begin_window();
  // Again before it is told: a slot may have been written anew under the read, or the flash may do better the next
  // time.
  if (flash_failed_ || !check()) {
    if (++failures_ < failures_limit) return begin_window();
    outcome_ = store::status::medium_error;
    return finish();
  }
  overlay();
  from_ = until_;
  if (from_ < outer_->offset_bytes + outer_->length_bytes) return begin_window();
  finish();
}

bool overlay_read::still_there() const noexcept {
  const journal_index& index = owner_.core_.index;
  if (index.freed() == freed_) return true;
  return std::all_of(dirty_.begin(), dirty_.end(),
                     [&](const dirty& each) { return index.find(each.block) == each.at; });
}

bool overlay_read::check() noexcept {
  for (const dirty& each : dirty_) {
    if (each.at.what != kind::data) continue;
    if (wire::crc32c({bounce_.data() + each.bounce * block_bytes, block_bytes}) == each.at.crc) continue;
    outer_->failed_offset = std::max(each.block * block_bytes, outer_->offset_bytes);
    return false;
  }
  return true;
}

void overlay_read::overlay() noexcept {
  store::scatter to(outer_->parts, outer_->part_count);
  std::uint64_t at = outer_->offset_bytes;
  for (const dirty& each : dirty_) {
    const std::uint64_t begin = std::max(from_, each.block * block_bytes);
    const std::uint64_t length = std::min(until_, (each.block + 1) * block_bytes) - begin;
    to.skip(begin - at);
    if (each.at.what == kind::data) {
      to.fill(bounce_.data() + each.bounce * block_bytes + begin % block_bytes, length);
    } else {
      to.zero(length);
    }
    at = begin + length;
  }
}

void overlay_read::finish() noexcept {
  store::request& r = *std::exchange(outer_, nullptr);
  const store::status outcome = outcome_;
  bounce_ = {};
  owner_.give_back(*this);
  r.done(outcome);
}

// -- all of a loop ---------------------------------------------------------------------------------------------------

overlay_reader::~overlay_reader() {
  SLUICE_CHECK(!run_deferred_.queued_);
  if (timer_.armed()) loop_.disarm(timer_);
}

void overlay_reader::read(store::request& r) noexcept {
  if (!free_) {
    all_.push_back(std::make_unique<overlay_read>(*this));
    free_ = all_.back().get();
    free_->next = nullptr;
  }
  std::exchange(free_, free_->next)->start(r);
}

void overlay_reader::give_back(overlay_read& one) noexcept {
  one.next = free_;
  free_ = &one;
}

void overlay_reader::wait(overlay_read& one) noexcept {
  one.next = waiting_;
  waiting_ = &one;
  if (!timer_.armed()) loop_.arm(timer_, ns_per_ms);
}

void overlay_reader::defer(overlay_read& one) noexcept {
  one.next = deferred_;
  deferred_ = &one;
  loop_.defer(run_deferred_);
}

void overlay_reader::run_deferred() noexcept {
  overlay_read* ready = std::exchange(deferred_, nullptr);
  while (ready) std::exchange(ready, ready->next)->go_on();
}

void overlay_reader::look_again() noexcept {
  overlay_read* waiting = std::exchange(waiting_, nullptr);
  while (waiting) std::exchange(waiting, waiting->next)->go_on();
}

}  // namespace sluice::journal
