#include "tiers/journal/journal_job.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "tiers/journal/journal_owner.hpp"

namespace sluice::journal {

using store::status;
using store::verb;

namespace {

constexpr std::uint64_t expanded_limit_blocks = mib / block_bytes;
constexpr std::uint64_t zeroes_limit_blocks = 16 * mib / block_bytes;

}  // namespace

void journal_job::start(store::request& r) noexcept {
  asked_ = &r;
  loop_ = nullptr;
  outcome_ = status::good;
  passes_ = false;
  first = r.offset_bytes / block_bytes;
  last = (r.offset_bytes + r.length_bytes + block_bytes - 1) / block_bytes;
  records_left = 0;
  compared = false;
  barrier = 0;
  miscompare_offset = 0;
  failed_offset = 0;
}

void journal_job::answer() noexcept {
  store::request& r = *std::exchange(asked_, nullptr);
  r.answer_as(*this);
  memory_ = {};
  r.done(outcome_);
}

void journal_job::arrive(journal_owner& at) noexcept {
  loop_ = &at;
}

void journal_job::granted() noexcept {
  loop_->granted(*this);
}

/// What would fill the log with little to say, or with the same block over and over, is cheaper below.
bool journal_job::is_journaled() const noexcept {
  if (asked_->fua && loop_->core().wanted.is_volatile) return false;
  switch (asked_->what) {
    case verb::write:
      return true;
    case verb::write_same:
    case verb::compare_and_write:
      return last - first <= expanded_limit_blocks;
    case verb::discard:
    case verb::write_zeroes:
      return last - first <= std::min<std::uint64_t>(zeroes_limit_blocks, loop_->core().slots / 8);
    default:
      return false;
  }
}

// -- what must be known before ---------------------------------------------------------------------------------------

/// Whether octets of the block that lie within the store are not the request's.
bool journal_job::covers_in_part(block_number number) const noexcept {
  const std::uint64_t begin = number * block_bytes;
  const std::uint64_t end = begin + loop_->core().valid_bytes(number);
  return asked_->offset_bytes > begin || asked_->offset_bytes + asked_->length_bytes < end;
}

bool journal_job::is_partial(block_number number) const noexcept {
  return (number == first && first_is_partial_) || (number + 1 == last && last_is_partial_);
}

auto journal_job::read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) noexcept {
  return until(place_, [this, offset, length, to] {
    what = verb::read;
    fua = false;
    offset_bytes = offset;
    length_bytes = length;
    part_ = {to, length};
    parts = &part_;
    part_count = 1;
    parts_compare = 0;
    loop_->read(*this);
  });
}

void journal_job::done(status outcome) noexcept {
  loop_->ended();
  if (passes_) {
    outcome_ = outcome;
    return loop_->passed(*this);
  }
  below_said_ = outcome;
  place_.resume();
}

routine journal_job::prepare() noexcept {
  bool known = true;
  if (asked_->what == verb::compare_and_write && !compared) known = co_await compare();
  if (known) {
    // Once and for all: the store may grow before the blocks are written, and what comes on then is zeroes.
    first_is_partial_ = covers_in_part(first);
    last_is_partial_ = covers_in_part(last - 1);
    if (first_is_partial_ || last_is_partial_) memory_ = allocate_blocks(2);
  }
  if (known && first_is_partial_) known = co_await read_edge(first, memory_.get());
  if (known && last_is_partial_ && last - first > 1) known = co_await read_edge(last - 1, memory_.get() + block_bytes);
  place_.let_go();  // its channel, on another core, may have it back before this ends
  known ? loop_->ready(*this) : loop_->refused(*this);
}

/// Whether what is there is what it should be. From then on it is a write of what comes behind.
subroutine<bool> journal_job::compare() noexcept {
  memory_ = allocate_blocks(last - first);
  co_await read(asked_->offset_bytes, asked_->length_bytes, memory_.get());
  outcome_ = below_said_;
  if (outcome_ != status::good) co_return false;
  store::scatter expected(asked_->parts, asked_->parts_compare);
  const std::uint64_t equal = expected.match(memory_.get(), asked_->length_bytes);
  compared = equal == asked_->length_bytes;
  if (!compared) {
    miscompare_offset = equal;
    outcome_ = status::miscompare;
  }
  co_return compared;
}

/// A block of which only a part is the request's. What lies beyond the store's end in its last block is zeroes.
subroutine<bool> journal_job::read_edge(block_number number, std::uint8_t* to) noexcept {
  const std::uint64_t valid = loop_->core().valid_bytes(number);
  co_await read(number * block_bytes, valid, to);
  outcome_ = below_said_;
  if (outcome_ != status::good) co_return false;
  std::memset(to + valid, 0, block_bytes - valid);
  co_return true;
}

// -- its blocks ------------------------------------------------------------------------------------------------------

store::scatter journal_job::data() const noexcept {
  const unsigned skip = compared ? asked_->parts_compare : 0;
  return {asked_->parts + skip, asked_->part_count - skip};
}

void journal_job::rewind() noexcept {
  next_block_ = first;
  records_left = 0;
  pattern_at_ = 0;
  source_ = data();
}

/// Zeroes and discards cost an entry each and no data; but for blocks that they cover in part.
journal_job::block journal_job::peek() const noexcept {
  const bool zeroes = asked_->what == verb::discard || asked_->what == verb::write_zeroes;
  if (!zeroes || is_partial(next_block_)) return {next_block_, kind::data};
  return {next_block_, asked_->what == verb::discard ? kind::discard : kind::zeroes};
}

void journal_job::take(std::uint8_t* to) noexcept {
  const block_number number = next_block_++;
  const std::uint64_t begin = number * block_bytes;
  const std::uint64_t from = std::max(begin, asked_->offset_bytes);
  const std::uint64_t until = std::min(begin + block_bytes, asked_->offset_bytes + asked_->length_bytes);
  if (!to) return;
  if (until - from != block_bytes) {
    if (is_partial(number)) {
      std::memcpy(to, memory_.get() + (number == first ? 0 : block_bytes), block_bytes);
    } else {
      std::memset(to, 0, block_bytes);
    }
  }
  put_bytes(to + (from - begin), until - from);
}

/// The next octets of what is written.
void journal_job::put_bytes(std::uint8_t* to, std::uint64_t length) noexcept {
  switch (asked_->what) {
    case verb::discard:
    case verb::write_zeroes:
      std::memset(to, 0, length);
      return;
    case verb::write_same: {
      const auto* pattern = static_cast<const std::uint8_t*>(asked_->parts[0].iov_base);
      const std::uint64_t unit = asked_->parts[0].iov_len;
      for (std::uint64_t put = 0; put < length;) {
        const std::uint64_t skip = pattern_at_ % unit;
        const std::uint64_t piece = std::min(unit - skip, length - put);
        std::memcpy(to + put, pattern + skip, piece);
        put += piece;
        pattern_at_ += piece;
      }
      return;
    }
    default:
      source_.gather(to, length);
  }
}

/// A compare_and_write whose comparison was made here is a write below: its blocks are held until then.
void journal_job::ask_below(bool durable) noexcept {
  passes_ = true;
  memory_ = {};
  ask_as(*asked_);
  fua |= durable;
  if (!compared) return;
  what = verb::write;
  parts = asked_->parts + asked_->parts_compare;
  part_count = asked_->part_count - asked_->parts_compare;
  parts_compare = 0;
}

}  // namespace sluice::journal
