#include "tiers/ram/ram_channel.hpp"

#include <algorithm>
#include <cstring>
#include "tiers/ram/stream_copy.hpp"

namespace sluice::ram {
namespace {

using sluice::store::request;
using sluice::store::scatter;
using sluice::store::status;
using sluice::store::verb;

// What one step may do before other work of the core gets its turn: about 100 us each.
constexpr std::uint64_t copy_step = 1 * mib;
constexpr std::uint64_t release_step = 16 * mib;
constexpr std::uint64_t scan_step = 64 * gib;
constexpr unsigned steps_per_turn = 4;

std::uint64_t step_limit(verb what) {
  switch (what) {
    case verb::discard:
    case verb::write_zeroes:
      return release_step;
    case verb::map:
      return scan_step;
    default:
      return copy_step;
  }
}

void copy_pattern(arena& memory, const request& r, std::uint64_t from, std::uint64_t length) {
  // The pattern lands once; each further copy doubles what is there already.
  const std::uint64_t unit = store::total_bytes(r.parts, 1);
  SLUICE_CHECK(unit != 0);
  const auto* pattern = static_cast<const std::uint8_t*>(r.parts[0].iov_base);
  std::uint8_t* to = memory.at(from);
  const std::uint64_t phase = (from - r.offset_bytes) % unit;
  std::uint64_t filled = 0;
  while (filled < std::min(unit, length)) {
    const std::uint64_t skip = (phase + filled) % unit;
    const std::uint64_t piece = std::min({unit - skip, unit - filled, length - filled});
    std::memcpy(to + filled, pattern + skip, piece);
    filled += piece;
  }
  while (filled < length) {
    const std::uint64_t piece = std::min(filled / unit * unit, length - filled);
    std::memcpy(to + filled, to, piece);
    filled += piece;
  }
}

status compare_and_write(arena& memory, request& r) {
  scatter expected(r.parts, r.parts_compare);
  const std::uint64_t equal = expected.match(memory.at(r.offset_bytes), r.length_bytes);
  if (equal != r.length_bytes) {
    r.miscompare_offset = equal;
    return status::miscompare;
  }
  scatter(r.parts + r.parts_compare, r.part_count - r.parts_compare).gather(memory.at(r.offset_bytes), r.length_bytes);
  memory.mark(r.offset_bytes, r.length_bytes);
  return status::good;
}

/// Looks at no more than scan_step octets once there is an answer: a map request may cover less than it was asked.
void map(const arena& memory, request& r) {
  r.extents->clear();
  const std::uint64_t end = r.offset_bytes + std::min(r.length_bytes, scan_step);
  std::uint64_t at = r.offset_bytes;
  while (at < end && r.extents->size() < r.extent_limit) {
    const std::uint64_t next = std::min(end, memory.run_end(at, end));
    append_extent(*r.extents, {at, next - at, memory.is_mapped(at)});
    at = next;
  }
}

void store_data(scatter& parts, std::uint8_t* to, std::uint64_t length) {
  for (std::uint64_t stored = 0; stored < length;) {
    const bytes piece = parts.next(length - stored);
    SLUICE_CHECK(!piece.empty());
    stream_copy(to + stored, piece.data(), piece.size());
    stored += piece.size();
  }
}

}  // namespace

// Requests still in line are those that a crash of the (simulated) machine left behind: the loop forgot them as well.
ram_channel::~ram_channel() {
  SLUICE_CHECK(!run_queue_.queued_);
}

/// Does the next piece of a request, whose progress is scratch.words[0]; true when it is finished.
bool ram_channel::step(request& r, status& outcome) noexcept {
  outcome = status::good;
  std::uint64_t& done = r.scratch.words[0];
  const std::uint64_t from = r.offset_bytes + done;
  const std::uint64_t length = std::min(r.length_bytes - done, step_limit(r.what));
  switch (r.what) {
    case verb::flush:
      return true;
    case verb::map:
      map(memory_, r);
      return true;
    case verb::compare_and_write:
      outcome = compare_and_write(memory_, r);
      return true;
    case verb::read:
    case verb::write: {
      scatter parts(r.parts, r.part_count);
      parts.skip(done);
      if (r.what == verb::read) {
        parts.fill(memory_.at(from), length);
      } else {
        store_data(parts, memory_.at(from), length);
        memory_.mark(from, length);
      }
      break;
    }
    case verb::write_same:
      copy_pattern(memory_, r, from, length);
      memory_.mark(from, length);
      break;
    case verb::discard:
      memory_.discard(from, length);
      break;
    case verb::write_zeroes:
      memory_.write_zeroes(from, length);
      break;
  }
  done += length;
  return done == r.length_bytes;
}

bool ram_channel::try_now(request& r, status& outcome) noexcept {
  SLUICE_CHECK(r.offset_bytes <= memory_.touchable() && r.length_bytes <= memory_.touchable() - r.offset_bytes);
  const bool one_step = r.length_bytes <= step_limit(r.what) || r.what == verb::map || r.what == verb::flush;
  if (!one_step) return false;
  r.scratch.words[0] = 0;
  return step(r, outcome);
}

bool ram_channel::borrow(std::uint64_t offset_bytes, std::uint64_t length_bytes,
                         std::vector<memory::slice>& out) noexcept {
  SLUICE_CHECK(offset_bytes <= memory_.touchable() && length_bytes <= memory_.touchable() - offset_bytes);
  while (length_bytes != 0) {
    const auto piece = static_cast<std::uint32_t>(std::min<std::uint64_t>(length_bytes, memory::pool::largest));
    out.push_back(memory::slice::borrow(memory_.at(offset_bytes), piece));
    offset_bytes += piece;
    length_bytes -= piece;
  }
  return true;
}

void ram_channel::submit(request& r) noexcept {
  SLUICE_CHECK(loop_ && r.offset_bytes <= memory_.touchable() &&
               r.length_bytes <= memory_.touchable() - r.offset_bytes);
  r.scratch.words[0] = 0;
  queue_.push(r);
  if (!running_) loop_->defer(run_queue_);
}

void ram_channel::run_queue() noexcept {
  running_ = true;
  for (unsigned budget = steps_per_turn; budget != 0 && !queue_.empty(); --budget) {
    request& r = queue_.pop();
    status outcome;
    if (step(r, outcome)) {
      r.done(outcome);
    } else {
      queue_.push(r);
    }
  }
  running_ = false;
  if (!queue_.empty()) loop_->defer(run_queue_);
}

}  // namespace sluice::ram
