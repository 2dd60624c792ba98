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
  done_ = 0;
  bounced_ = false;
  losses_before_ = medium_.condition->losses();
  phase_ = first_phase();
  next();
}

descriptor_job::phase descriptor_job::first_phase() const noexcept {
  switch (request_->what) {
    case verb::read:
      return phase::read;
    case verb::write:
      return phase::write;
    case verb::flush:
      return phase::sync;
    case verb::discard:
    case verb::write_zeroes:
      return phase::allocate;
    case verb::write_same:
      return phase::repeat;
    case verb::compare_and_write:
      return phase::compare;
    case verb::map:
      return phase::map;
  }
  SLUICE_CHECK(false);
}

void descriptor_job::next() noexcept {
  switch (phase_) {
    case phase::read:
    case phase::write:
      return start_transfer();
    case phase::compare:
      return start_compare();
    case phase::repeat:
      return start_repeat();
    case phase::allocate:
      return start_allocate();
    case phase::map:
      return owner_.loop_.find_data(*this, medium_.handle, at(), &data_begin_, &data_end_);
    case phase::sync:
      written_before_ = medium_.condition->written();
      begin_sync();
      return owner_.loop_.sync(*this, medium_.handle);
  }
}

void descriptor_job::on_complete(std::int64_t result) noexcept {
  if (result == -EINTR) return next();
  switch (phase_) {
    case phase::allocate:
      return allocated(result);
    case phase::map:
      return mapped(result);
    case phase::sync:
      return synced(result);
    default:
      break;
  }
  if (result < 0) {
    if (is_told_of_others() && result == -EIO) medium_.condition->lose_writes(EIO);
    end_sync();
    return fail(static_cast<int>(-result));
  }
  end_sync();
  const std::uint64_t octets = std::min(static_cast<std::uint64_t>(result), asked_);
  if (phase_ == phase::compare) return compared(octets);
  if (phase_ == phase::read) return transferred(octets);
  // A short write is carried on from the last whole block; one that moved nothing would be carried on for ever.
  const std::uint64_t kept = octets == asked_ ? octets : whole_blocks(octets);
  return kept == 0 ? fail(EIO) : piece_done(kept);
}

void descriptor_job::piece_done(std::uint64_t octets) noexcept {
  done_ += octets;
  return left() == 0 ? phase_done() : next();
}

void descriptor_job::phase_done() noexcept {
  const bool is_not_durable = phase_ == phase::allocate || phase_ == phase::repeat || is_synced_apart();
  if (phase_ == phase::compare) {
    phase_ = phase::write;
    done_ = 0;
    return next();
  }
  if (is_not_durable && request_->fua) {
    phase_ = phase::sync;
    return next();
  }
  finish(status::good);
}

void descriptor_job::finish(status outcome) noexcept {
  request& r = *request_;
  request_ = nullptr;
  if (outcome == status::good) {
    if (!r.fua && changes_medium(r.what)) medium_.condition->wrote(r.length_bytes);
    if (medium_.condition->is_failing()) medium_.condition->went_well(r.what, owner_.loop_.now_ns());
  }
  owner_.drop_bounce(bounce_);
  owner_.give_back(*this);
  r.done(outcome);
}

void descriptor_job::fail(int error_number) noexcept {
  request_->failed_offset = at();
  request_->loss = medium_.condition->newest_loss();
  if (error_number != ECANCELED) medium_.condition->failed(request_->what, error_number, owner_.loop_.now_ns());
  finish(status_of_errno(error_number));
}

/// A durable write tells, through the page cache, also of what others wrote before and the system could not: once.
bool descriptor_job::is_told_of_others() const noexcept {
  return phase_ == phase::write && request_->fua && !medium_.direct;
}

/// A durable write past the page cache is a write and a sync, as the kernel would do it for a block device: as one, its
/// EIO would not tell whether a sector is bad, or the device lost what others had left in its cache.
bool descriptor_job::is_synced_apart() const noexcept {
  return phase_ == phase::write && medium_.direct;
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
  const unsigned skip = phase_ == phase::write ? request_->parts_compare : 0;
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

/// True when there is a bounce buffer; otherwise this job waits for one.
bool descriptor_job::need_bounce(std::uint64_t octets) noexcept {
  if (bounce_.empty()) bounce_ = owner_.take_bounce(*this, octets);
  return !bounce_.empty();
}

void descriptor_job::start_transfer() noexcept {
  const unsigned skip = phase_ == phase::write ? request_->parts_compare : 0;
  const iovec* parts = request_->parts + skip;
  unsigned count = request_->part_count - skip;
  asked_ = request_->length_bytes;
  const bool as_it_is = done_ == 0 && asked_ <= transfer_limit && count <= system_parts_limit &&
                        aligned(parts, count) && total_bytes(parts, count) == asked_;
  if (!as_it_is) {
    scatter rest = data();
    rest.skip(done_);
    asked_ = 0;
    for (count = 0; count < parts_limit && asked_ < std::min(left(), transfer_limit); ++count) {
      const bytes piece = rest.next(std::min(left(), transfer_limit) - asked_);
      SLUICE_CHECK(!piece.empty());
      parts_[count] = {piece.data(), piece.size()};
      asked_ += piece.size();
    }
    parts = parts_;
  }
  bounced_ = !as_it_is && !aligned(parts_, count);
  if (bounced_) {
    if (!need_bounce(left())) return;
    asked_ = std::min<std::uint64_t>(left(), bounce_.size());
    parts_[0] = {bounce_.data(), asked_};
    count = 1;
    if (phase_ == phase::write) {
      scatter rest = data();
      rest.skip(done_);
      rest.gather(bounce_.data(), asked_);
    }
  }
  if (phase_ == phase::read) return owner_.loop_.read(*this, medium_.handle, parts, count, at());
  if (is_told_of_others()) begin_sync();
  owner_.loop_.write(*this, medium_.handle, parts, count, at(), is_told_of_others());
}

void descriptor_job::transferred(std::uint64_t octets) noexcept {
  scatter rest = data();
  rest.skip(done_);
  if (bounced_) {
    rest.fill(bounce_.data(), octets);
  } else if (octets < asked_) {
    rest.skip(octets);
  }
  // The end of the file. Direct I/O ends within a block only there.
  if (octets == 0 || whole_blocks(octets) != octets) {
    if (ends_early(octets)) return;
    rest.zero(left() - octets);
    octets = left();
  }
  piece_done(octets);
}

/// Whether the file ends before it should, so that the request has failed. A shrink of our own may have overtaken a
/// read; what lies behind that end reads as zeroes.
bool descriptor_job::ends_early(std::uint64_t octets) noexcept {
  const std::uint64_t end = at() + octets, size = medium_.size();
  if (end >= size) return false;
  medium_.condition->found_end(end, size);
  request_->failed_offset = end;
  finish(status::medium_error);
  return true;
}

// -- compare_and_write -------------------------------------------------------------------------------------------

void descriptor_job::start_compare() noexcept {
  if (!need_bounce(left())) return;
  asked_ = std::min<std::uint64_t>(left(), bounce_.size());
  parts_[0] = {bounce_.data(), asked_};
  owner_.loop_.read(*this, medium_.handle, parts_, 1, at());
}

void descriptor_job::compared(std::uint64_t octets) noexcept {
  if (octets == 0 || whole_blocks(octets) != octets) {
    if (ends_early(octets)) return;
    std::memset(bounce_.data() + octets, 0, asked_ - octets);
    octets = asked_;
  }
  scatter expected(request_->parts, request_->parts_compare);
  expected.skip(done_);
  const std::uint64_t equal = expected.match(bounce_.data(), octets);
  if (equal == octets) return piece_done(octets);
  request_->miscompare_offset = done_ + equal;
  finish(status::miscompare);
}

// -- write_same, and zeroes where the medium can't make them itself ------------------------------------------------

void descriptor_job::start_repeat() noexcept {
  if (request_->what != verb::write_same) {
    repeated_ = zeroes;
    repeated_length_ = repeat_length;
  } else if (bounce_.empty()) {
    if (!need_bounce(repeat_length)) return;
    const std::uint64_t unit = request_->parts[0].iov_len;
    SLUICE_CHECK(unit != 0 && unit <= bounce_.size());
    repeated_ = bounce_.data();
    repeated_length_ = bounce_.size() / unit * unit;
    for (std::uint64_t to = 0; to < repeated_length_; to += unit) {
      std::memcpy(bounce_.data() + to, request_->parts[0].iov_base, unit);
    }
  }
  unsigned count = 0;
  for (asked_ = 0; count < parts_limit && asked_ < left(); ++count) {
    const std::uint64_t from = (done_ + asked_) % repeated_length_;
    const std::uint64_t length = std::min(repeated_length_ - from, left() - asked_);
    parts_[count] = {const_cast<std::uint8_t*>(repeated_) + from, length};
    asked_ += length;
  }
  owner_.loop_.write(*this, medium_.handle, parts_, count, at(), false);
}

// -- discard and write_zeroes ------------------------------------------------------------------------------------

void descriptor_job::start_allocate() noexcept {
  const bool punch = request_->what == verb::discard;
  if (!(punch ? medium_.punches : medium_.zeroes).load(std::memory_order_relaxed)) {
    phase_ = phase::repeat;
    return next();
  }
  asked_ = std::min(left(), allocate_limit);
  const auto mode = punch ? reactor::allocate_mode::punch_hole : reactor::allocate_mode::zero_range;
  owner_.loop_.allocate(*this, medium_.handle, mode, at(), asked_);
}

void descriptor_job::allocated(std::int64_t result) noexcept {
  if (not_supported(result)) {
    (request_->what == verb::discard ? medium_.punches : medium_.zeroes).store(false, std::memory_order_relaxed);
    return next();
  }
  return result < 0 ? fail(static_cast<int>(-result)) : piece_done(asked_);
}

// -- map ---------------------------------------------------------------------------------------------------------

void descriptor_job::mapped(std::int64_t result) noexcept {
  std::vector<extent>& extents = *request_->extents;
  if (not_supported(result)) {
    medium_.maps.store(false, std::memory_order_relaxed);
    append_extent(extents, {at(), left(), true});
    return finish(status::good);
  }
  if (result < 0) return fail(static_cast<int>(-result));
  const std::uint64_t from = at();
  const std::uint64_t end = from + left();
  const bool only_hole = data_begin_ >= data_end_ || data_begin_ >= end;
  const std::uint64_t begin = only_hole ? end : std::max(from, data_begin_ / map_granularity * map_granularity);
  const std::uint64_t rounded = (data_end_ + map_granularity - 1) / map_granularity * map_granularity;
  const std::uint64_t until = only_hole ? end : std::min(end, std::max(rounded, begin + map_granularity));
  append_extent(extents, {from, begin - from, false});
  append_extent(extents, {begin, until - begin, true});
  done_ = until - request_->offset_bytes;
  if (extents.size() > request_->extent_limit) extents.pop_back();
  if (left() == 0 || extents.size() >= request_->extent_limit) return finish(status::good);
  next();
}

// -- flush -------------------------------------------------------------------------------------------------------

void descriptor_job::synced(std::int64_t result) noexcept {
  if (result < 0) {
    if (result != -ECANCELED) medium_.condition->lose_writes(static_cast<int>(-result));
    end_sync();
    return fail(static_cast<int>(-result));
  }
  end_sync();
  syncs_before_ = medium_.condition->syncs_begun();
  settle();
}

/// A sync that the system called good may owe that to another one, of any core, which was told of the loss before and
/// has not come back yet. So its outcome counts when all that were under way by then have ended.
void descriptor_job::settle() noexcept {
  medium_condition& condition = *medium_.condition;
  if (!condition.have_syncs_ended(syncs_before_)) return owner_.wait_for_syncs(*this);
  // The sync of somebody else that failed meanwhile has taken with it what this request had written, and the system
  // tells that once.
  if (request_->what != verb::flush && condition.losses() != losses_before_) return fail(EIO);
  const int lost = request_->what == verb::flush ? condition.flushed(written_before_, request_->written_anew) : 0;
  if (lost == 0) return finish(status::good);
  request_->loss = condition.newest_loss();
  finish(status_of_errno(lost));
}

}  // namespace sluice::store
