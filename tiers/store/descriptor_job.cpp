#include <algorithm>
#include <cerrno>
#include <utility>

#include "tiers/store/descriptor_channel.hpp"

namespace sluice::store {
namespace {

constexpr std::uint64_t transfer_limit = 4 * mib;
constexpr std::uint64_t allocate_limit = 1 * gib;
constexpr unsigned system_parts_limit = 1024;  // IOV_MAX
constexpr std::uint64_t repeat_length = 64 * kib;
// File systems may answer in units smaller than a logical block of the unit: data is rounded out to this.
constexpr std::uint64_t map_granularity = 4096;

alignas(4096) constexpr std::uint8_t zeroes[repeat_length] = {};

bool not_supported(std::int64_t result) {
  return result == -EOPNOTSUPP || result == -ENOSYS;
}

}  // namespace

void descriptor_job::start(request& r) noexcept {
  request_ = &r;
  outcome_ = status::good;
  done_ = 0;
  losses_before_ = medium_.condition->losses();
  run();
}

void descriptor_job::on_complete(std::int64_t result) noexcept {
  result_ = result;
  place_.resume();
}

routine descriptor_job::run() noexcept {
  bool goes_on = true;
  switch (request_->what) {
    case verb::read:
    case verb::write:
      break;
    case verb::compare_and_write:
      goes_on = co_await compare();
      break;
    case verb::discard:
    case verb::write_zeroes:
      goes_on = co_await allocate();
      break;
    case verb::write_same:
      goes_on = co_await repeat();
      break;
    case verb::map:
      goes_on = co_await map();
      break;
    case verb::flush:
      break;
  }
  if (moves_data()) {
    // Not a subroutine: this is the way of every read and write.
    for (done_ = 0; goes_on && left() != 0;) {
      while (!choose_piece()) co_await until(place_, [this] { owner_.wait_for_bounce(*this); });
      co_await until(place_, [this] { start_transfer(); });
      if (result_ != -EINTR) goes_on = is_write() ? written() : transferred();
    }
  }
  if (goes_on && needs_sync()) co_await sync();
  place_.let_go();  // whoever is answered may have the job do something else at once
  finish();
}

bool descriptor_job::moves_data() const noexcept {
  return request_->what == verb::read || is_write();
}

bool descriptor_job::is_write() const noexcept {
  return request_->what == verb::write || request_->what == verb::compare_and_write;
}

void descriptor_job::finish() noexcept {
  request& r = *std::exchange(request_, nullptr);
  if (outcome_ == status::good) {
    if (!r.fua && changes_medium(r.what)) medium_.condition->wrote(r.length_bytes);
    if (medium_.condition->is_failing()) medium_.condition->went_well(r.what, owner_.loop_.now_ns());
  }
  const status outcome = outcome_;
  owner_.drop_bounce(bounce_);
  owner_.give_back(*this);
  r.done(outcome);
}

/// False, for those whom it ends.
bool descriptor_job::fails(int error_number) noexcept {
  request_->failed_offset = at();
  request_->loss = medium_.condition->newest_loss();
  if (error_number != ECANCELED) medium_.condition->failed(request_->what, error_number, owner_.loop_.now_ns());
  outcome_ = status_of_errno(error_number);
  return false;
}

/// A durable write tells, through the page cache, also of what others wrote before and the system could not: once.
bool descriptor_job::is_told_of_others() const noexcept {
  return is_write() && request_->fua && !medium_.direct;
}

/// Whether what it did needs a sync. A durable write past the page cache is a write and a sync, as the kernel would do
/// it for a block device: as one, its EIO would not tell whether a sector is bad, or the device lost what others had
/// left in its cache.
bool descriptor_job::needs_sync() const noexcept {
  switch (request_->what) {
    case verb::flush:
      return true;
    case verb::write:
    case verb::compare_and_write:
      return request_->fua && medium_.direct;
    default:
      return request_->fua && changes_medium(request_->what);
  }
}

void descriptor_job::begin_sync() noexcept {
  if (sync_ == 0) sync_ = medium_.condition->sync_begins();  // else it was interrupted
}

void descriptor_job::end_sync() noexcept {
  if (sync_ == 0) return;
  medium_.condition->sync_ended(std::exchange(sync_, 0));
  if (owner_.unsettled_) owner_.loop_.defer(owner_.settle_soon_);
}

// -- data between the medium and the request's buffers -----------------------------------------------------------

scatter descriptor_job::data() const noexcept {
  const unsigned skip = request_->parts_compare;
  return {request_->parts + skip, request_->part_count - skip};
}

std::uint64_t descriptor_job::whole_blocks(std::uint64_t octets) const noexcept {
  return medium_.direct ? octets - octets % medium_.info.logical_block : octets;
}

bool descriptor_job::aligned(const iovec* parts, unsigned count) const noexcept {
  if (!medium_.direct) return true;
  const std::uintptr_t mask = medium_.info.logical_block - 1;
  return std::all_of(parts, parts + count, [mask](const iovec& part) {
    return ((reinterpret_cast<std::uintptr_t>(part.iov_base) | part.iov_len) & mask) == 0;
  });
}

/// False when there is none.
bool descriptor_job::has_bounce(std::uint64_t octets) noexcept {
  if (bounce_.empty()) bounce_ = owner_.take_bounce(octets);
  return !bounce_.empty();
}

/// The next piece: as much of what is left as one operation takes. False when that has to wait for a bounce buffer.
bool descriptor_job::choose_piece() noexcept {
  piece_ = request_->parts + request_->parts_compare;
  piece_parts_ = request_->part_count - request_->parts_compare;
  asked_ = request_->length_bytes;
  bounced_ = false;
  if (done_ == 0 && asked_ <= transfer_limit && piece_parts_ <= system_parts_limit && aligned(piece_, piece_parts_) &&
      total_bytes(piece_, piece_parts_) == asked_)
    return true;
  scatter rest = data();
  rest.skip(done_);
  asked_ = 0;
  for (piece_parts_ = 0; piece_parts_ < parts_limit && asked_ < std::min(left(), transfer_limit); ++piece_parts_) {
    const bytes part = rest.next(std::min(left(), transfer_limit) - asked_);
    SLUICE_CHECK(!part.empty());
    parts_[piece_parts_] = {part.data(), part.size()};
    asked_ += part.size();
  }
  piece_ = parts_;
  bounced_ = !aligned(parts_, piece_parts_);
  if (!bounced_) return true;
  if (!has_bounce(left())) return false;
  asked_ = std::min<std::uint64_t>(left(), bounce_.size());
  parts_[0] = {bounce_.data(), asked_};
  piece_parts_ = 1;
  if (request_->what == verb::read) return true;
  scatter source = data();
  source.skip(done_);
  source.gather(bounce_.data(), asked_);
  return true;
}

void descriptor_job::start_transfer() noexcept {
  if (request_->what == verb::read) return owner_.loop_.read(*this, medium_.handle, piece_, piece_parts_, at());
  if (is_told_of_others()) begin_sync();
  owner_.loop_.write(*this, medium_.handle, piece_, piece_parts_, at(), is_told_of_others());
}

/// A short write is carried on from the last whole block; one that moved nothing would be carried on for ever.
bool descriptor_job::written() noexcept {
  if (result_ == -EIO && is_told_of_others()) medium_.condition->lose_writes(EIO);
  end_sync();
  if (result_ < 0) return fails(static_cast<int>(-result_));
  const std::uint64_t octets = moved();
  const std::uint64_t kept = octets == asked_ ? octets : whole_blocks(octets);
  if (kept == 0) return fails(EIO);
  done_ += kept;
  return true;
}

bool descriptor_job::transferred() noexcept {
  if (result_ < 0) return fails(static_cast<int>(-result_));
  std::uint64_t octets = moved();
  scatter rest = data();
  rest.skip(done_);
  if (bounced_) {
    rest.fill(bounce_.data(), octets);
  } else if (octets < asked_) {
    rest.skip(octets);
  }
  // The end of the file. Direct I/O ends within a block only there.
  if (octets == 0 || whole_blocks(octets) != octets) {
    if (ends_early(octets)) return false;
    rest.zero(left() - octets);
    octets = left();
  }
  done_ += octets;
  return true;
}

/// Whether the file ends before it should, so that the request has failed. A shrink of our own may have overtaken a
/// read; what lies behind that end reads as zeroes.
bool descriptor_job::ends_early(std::uint64_t octets) noexcept {
  const std::uint64_t end = at() + octets, size = medium_.size();
  if (end >= size) return false;
  medium_.condition->found_end(end, size);
  request_->failed_offset = end;
  outcome_ = status::medium_error;
  return true;
}

// -- compare_and_write -------------------------------------------------------------------------------------------

/// False when it differs, or cannot be read.
subroutine<bool> descriptor_job::compare() noexcept {
  while (left() != 0) {
    while (!has_bounce(left())) co_await until(place_, [this] { owner_.wait_for_bounce(*this); });
    asked_ = std::min<std::uint64_t>(left(), bounce_.size());
    parts_[0] = {bounce_.data(), asked_};
    co_await until(place_, [this] { owner_.loop_.read(*this, medium_.handle, parts_, 1, at()); });
    if (result_ == -EINTR) continue;
    if (!compared()) co_return false;
  }
  co_return true;
}

bool descriptor_job::compared() noexcept {
  if (result_ < 0) return fails(static_cast<int>(-result_));
  std::uint64_t octets = moved();
  if (octets == 0 || whole_blocks(octets) != octets) {
    if (ends_early(octets)) return false;
    std::memset(bounce_.data() + octets, 0, asked_ - octets);
    octets = asked_;
  }
  scatter expected(request_->parts, request_->parts_compare);
  expected.skip(done_);
  const std::uint64_t equal = expected.match(bounce_.data(), octets);
  if (equal != octets) {
    request_->miscompare_offset = done_ + equal;
    outcome_ = status::miscompare;
    return false;
  }
  done_ += octets;
  return true;
}

// -- write_same, and zeroes where the medium can't make them itself ------------------------------------------------

subroutine<bool> descriptor_job::repeat() noexcept {
  const std::uint8_t* pattern = zeroes;
  std::uint64_t pattern_length = repeat_length;
  if (request_->what == verb::write_same) {
    while (!has_bounce(repeat_length)) co_await until(place_, [this] { owner_.wait_for_bounce(*this); });
    const std::uint64_t unit = request_->parts[0].iov_len;
    SLUICE_CHECK(unit != 0 && unit <= bounce_.size());
    pattern = bounce_.data();
    pattern_length = bounce_.size() / unit * unit;
    for (std::uint64_t to = 0; to < pattern_length; to += unit)
      std::memcpy(bounce_.data() + to, request_->parts[0].iov_base, unit);
  }
  while (left() != 0) {
    piece_parts_ = 0;
    for (asked_ = 0; piece_parts_ < parts_limit && asked_ < left(); ++piece_parts_) {
      const std::uint64_t from = (done_ + asked_) % pattern_length;
      const std::uint64_t length = std::min(pattern_length - from, left() - asked_);
      parts_[piece_parts_] = {const_cast<std::uint8_t*>(pattern) + from, length};
      asked_ += length;
    }
    co_await until(place_, [this] { owner_.loop_.write(*this, medium_.handle, parts_, piece_parts_, at(), false); });
    if (result_ == -EINTR) continue;
    if (!written()) co_return false;
  }
  co_return true;
}

// -- discard and write_zeroes ------------------------------------------------------------------------------------

/// What the medium cannot make of a range by itself is written.
subroutine<bool> descriptor_job::allocate() noexcept {
  const bool punch = request_->what == verb::discard;
  std::atomic<bool>& can = punch ? medium_.punches : medium_.zeroes;
  while (left() != 0 && can.load(std::memory_order_relaxed)) {
    asked_ = std::min(left(), allocate_limit);
    const auto mode = punch ? reactor::allocate_mode::punch_hole : reactor::allocate_mode::zero_range;
    co_await until(place_, [this, mode] { owner_.loop_.allocate(*this, medium_.handle, mode, at(), asked_); });
    if (result_ == -EINTR) continue;
    if (not_supported(result_)) {
      can.store(false, std::memory_order_relaxed);
    } else if (result_ < 0) {
      co_return fails(static_cast<int>(-result_));
    } else {
      done_ += asked_;
    }
  }
  bool done = true;
  if (left() != 0) done = co_await repeat();
  co_return done;
}

// -- map ---------------------------------------------------------------------------------------------------------

subroutine<bool> descriptor_job::map() noexcept {
  bool goes_on = true;
  while (goes_on) {
    co_await until(place_, [this] { owner_.loop_.find_data(*this, medium_.handle, at(), &data_begin_, &data_end_); });
    if (result_ != -EINTR) goes_on = mapped();
  }
  co_return false;  // there is nothing else to do
}

/// Whether there is more to look at.
bool descriptor_job::mapped() noexcept {
  std::vector<extent>& extents = *request_->extents;
  if (not_supported(result_)) {
    medium_.maps.store(false, std::memory_order_relaxed);
    append_extent(extents, {at(), left(), true});
    return false;
  }
  if (result_ < 0) return fails(static_cast<int>(-result_));
  const std::uint64_t from = at();
  const std::uint64_t end = from + left();
  const bool only_hole = data_begin_ >= data_end_ || data_begin_ >= end;
  const std::uint64_t begin = only_hole ? end : std::max(from, data_begin_ / map_granularity * map_granularity);
  const std::uint64_t rounded = (data_end_ + map_granularity - 1) / map_granularity * map_granularity;
  const std::uint64_t until_here = only_hole ? end : std::min(end, std::max(rounded, begin + map_granularity));
  append_extent(extents, {from, begin - from, false});
  append_extent(extents, {begin, until_here - begin, true});
  done_ = until_here - request_->offset_bytes;
  if (extents.size() > request_->extent_limit) extents.pop_back();
  return left() != 0 && extents.size() < request_->extent_limit;
}

// -- flush, and what must be durable
// -------------------------------------------------------------------------------------------------------

subroutine<> descriptor_job::sync() noexcept {
  medium_condition& condition = *medium_.condition;
  const std::uint64_t written_before = condition.written();
  begin_sync();
  do {
    co_await until(place_, [this] { owner_.loop_.sync(*this, medium_.handle); });
  } while (result_ == -EINTR);
  if (result_ < 0 && result_ != -ECANCELED) condition.lose_writes(static_cast<int>(-result_));
  end_sync();
  if (result_ < 0) {
    fails(static_cast<int>(-result_));
    co_return;
  }
  // A sync that the system called good may owe that to another one, of any core, which was told of the loss before and
  // has not come back yet. So its outcome counts when all that were under way by then have ended.
  const std::uint64_t others = condition.syncs_begun();
  while (!condition.have_syncs_ended(others)) co_await until(place_, [this] { owner_.wait_for_syncs(*this); });
  if (request_->what == verb::flush) {
    const int lost = condition.flushed(written_before, request_->written_anew);
    if (lost == 0) co_return;
    request_->loss = condition.newest_loss();
    outcome_ = status_of_errno(lost);
  } else if (condition.losses() != losses_before_) {
    // The sync of somebody else that failed meanwhile has taken with it what this request had written, and the system
    // tells that once.
    fails(EIO);
  }
}

}  // namespace sluice::store
