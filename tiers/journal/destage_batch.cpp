#include <algorithm>
#include <utility>

#include "actors/wire/crc.hpp"
#include "tiers/journal/destager.hpp"
#include "tiers/journal/journal_owner.hpp"

namespace sluice::journal {

void destage_batch::start(destager& owner, kind what_kind, std::vector<block>&& blocks) noexcept {
  owner_ = &owner;
  kind_ = what_kind;
  blocks_ = std::move(blocks);
  bad_.assign(blocks_.size(), false);
  written_ = 0;
  bring();
}

routine destage_batch::bring() noexcept {
  if (kind_ == kind::data) {
    if (!memory_) memory_ = allocate_blocks(data_limit);
    co_await until(place_, [this] { read_all(); });
    // What was read wrong is read once more, block by block; what is wrong then is lost, unless it was written anew.
    if (any_bad()) co_await until(place_, [this] { read_bad_again(); });
    lose_bad();
  }
  while (has_next()) {
    co_await until(place_, [this] { owner_->owner_.below().submit(*this); });
    if (said_ != store::status::good) {
      co_await until(place_, [this] { owner_->batch_refused(*this, said_); });
      continue;
    }
    written_ += writing_;
    owner_->run_bytes_ += length_bytes;
  }
  blocks_.clear();
  place_.let_go();
  owner_->batch_ended();
}

void destage_batch::done(store::status outcome) noexcept {
  said_ = outcome;
  place_.resume();
}

// -- from flash ------------------------------------------------------------------------------------------------------

/// Slots that follow each other by one read.
void destage_batch::read_all() noexcept {
  pieces_used_ = 0;
  for (std::uint32_t i = 0; i < blocks_.size();) {
    std::uint32_t count = 1;
    while (i + count < blocks_.size() && blocks_[i + count].where == blocks_[i].where + count) ++count;
    read(i, count);
    i += count;
  }
}

void destage_batch::read_bad_again() noexcept {
  pieces_used_ = 0;
  for (std::uint32_t i = 0; i < blocks_.size(); ++i)
    if (bad_[i]) read(i, 1);
}

void destage_batch::read(std::uint32_t first, std::uint32_t count) noexcept {
  if (pieces_used_ == pieces_.size()) {
    pieces_.push_back(std::make_unique<piece>());
    pieces_.back()->of = this;
  }
  piece& one = *pieces_[pieces_used_++];
  one.first = first;
  one.count = count;
  one.part = {memory_.get() + first * block_bytes, count * block_bytes};
  ++pieces_left_;
  owner_->owner_.loop().read(one, owner_->core_.flash.handle, &one.part, 1, offset_of(blocks_[first].where));
}

void destage_batch::piece_read(piece& one, std::int64_t result) noexcept {
  const bool whole = result == static_cast<std::int64_t>(one.part.iov_len);
  for (std::uint32_t i = one.first; i < one.first + one.count; ++i) {
    const std::uint32_t wanted = owner_->core_.index.place_at(blocks_[i].where).crc;
    bad_[i] = !whole || wire::crc32c({memory_.get() + i * block_bytes, block_bytes}) != wanted;
  }
  if (--pieces_left_ == 0) place_.resume();
}

bool destage_batch::any_bad() const noexcept {
  return std::find(bad_.begin(), bad_.end(), true) != bad_.end();
}

void destage_batch::lose_bad() noexcept {
  for (std::uint32_t i = 0; i < blocks_.size(); ++i) {
    if (!bad_[i]) continue;
    const auto newest = owner_->core_.index.find(blocks_[i].number);
    if (newest && newest->where == blocks_[i].where) owner_->core_.lose(blocks_[i].number);
  }
}

// -- below -----------------------------------------------------------------------------------------------------------

/// Makes `this` the request for the next blocks that follow each other and are sound; false: there are none.
bool destage_batch::has_next() noexcept {
  while (written_ < blocks_.size() && bad_[written_]) ++written_;
  std::uint32_t end = written_;
  while (end < blocks_.size() && !bad_[end]) ++end;
  const std::uint64_t size = owner_->core_.store_bytes.load(std::memory_order_acquire);
  const std::uint64_t from = written_ < blocks_.size() ? blocks_[written_].number * block_bytes : size;
  if (from >= size) return false;
  writing_ = end - written_;
  offset_bytes = from;
  length_bytes = std::min(writing_ * block_bytes, size - from);
  what = kind_ == kind::data     ? store::verb::write
         : kind_ == kind::zeroes ? store::verb::write_zeroes
                                 : store::verb::discard;
  if (kind_ == kind::data) below_part_ = {memory_.get() + written_ * block_bytes, length_bytes};
  parts = kind_ == kind::data ? &below_part_ : nullptr;
  part_count = kind_ == kind::data ? 1 : 0;
  return true;
}

}  // namespace sluice::journal
