#include <algorithm>
#include <cstring>

#include "gateway/unit/jobs.hpp"

// Commands that look at what is on the medium: VERIFY, WRITE AND VERIFY, ORWRITE, COMPARE AND WRITE.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

/// Where `left` and `right` first differ, or their length.
std::uint64_t first_difference(const_bytes left, const_bytes right) {
  return static_cast<std::uint64_t>(std::mismatch(left.begin(), left.end(), right.begin()).first - left.begin());
}

/// Holds data-out from `at` on against what was read; nullopt when they are equal.
std::optional<scsi::outcome> compare(command& c, std::uint64_t at, const_bytes read) {
  set_data_out(c, at, read.size());
  std::uint64_t done = 0;
  for (const iovec& part : c.parts) {
    const const_bytes sent(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len);
    const std::uint64_t same = first_difference(sent, read.subspan(done, part.iov_len));
    if (same != part.iov_len) return outcomes::miscompare(at + done + same);
    done += part.iov_len;
  }
  return std::nullopt;
}

/// BYTCHK = 11b: every block on the medium against the one that was sent [SBC-3 5.32].
std::optional<scsi::outcome> compare_each(command& c, const_bytes read, std::uint32_t block_size) {
  std::vector<std::uint8_t> pattern(block_size);
  copy_data_out(c, 0, pattern);
  for (std::size_t at = 0; at < read.size(); at += block_size) {
    const std::uint64_t same = first_difference(pattern, read.subspan(at, block_size));
    if (same != block_size) return outcomes::miscompare(same);
  }
  return std::nullopt;
}

scsi::block_range window_blocks(const command& c, std::uint64_t at, std::uint64_t octets, std::uint32_t size) {
  return {.lba = c.block.lba + at / size, .blocks = octets / size};
}

void or_into(std::uint8_t* to, const std::vector<iovec>& parts) {
  for (const iovec& part : parts) {
    const auto* from = static_cast<const std::uint8_t*>(part.iov_base);
    for (std::size_t i = 0; i < part.iov_len; ++i) *to++ |= from[i];
  }
}

}  // namespace

/// [SBC-3 5.32]
job verify(shard& s, command& c) {
  port::task& t = *c.task;
  const std::uint32_t size = s.block_size();
  const std::uint64_t offset = c.block.lba * size;
  std::uint64_t all = c.block.blocks * size;
  const bool each = c.block.byte_check == 3;
  const bool compares = c.block.byte_check == 1;
  t.length_out = c.block.transfer_bytes(size);
  if (compares) all = whole_blocks(s, all, t.expected_data_out);
  if (all == 0) co_return outcomes::good();
  if (must_read_medium(s, c)) {
    const scsi::outcome clean = co_await flushed{s, c};
    if (clean.status != scsi::status::good) co_return clean;
  }
  if (each) {
    if (t.expected_data_out < size) co_return outcomes::good();
    const bool arrived = co_await data_until{s, c, size};
    if (!arrived) co_return outcomes::good();
  }
  memory::slice buffer = s.take_buffer(c, std::min(all, window_bytes));
  if (buffer.empty()) co_return shard::no_room(c);
  for (std::uint64_t at = 0; at < all; at += window_bytes) {
    const std::uint64_t octets = std::min(all - at, window_bytes);
    if (compares) {
      const bool arrived = co_await data_until{s, c, at + octets};
      if (!arrived) co_return outcomes::good();
    }
    set_buffer(c, buffer, octets);
    prepare(c, store::verb::read, offset + at, octets);
    const store::status status = co_await medium{s, c};
    if (status != store::status::good) co_return outcome_of(status, c.io, size);
    const const_bytes read(buffer.data(), octets);
    std::optional<scsi::outcome> differs;
    if (compares) differs = compare(c, at, read);
    if (each) differs = compare_each(c, read, size);
    if (differs) co_return *differs;
    if (compares) drop_data_out(t, at + octets);
  }
  co_return outcomes::good();
}

/// [SBC-3 5.44] Writes durably, reads back and compares, whatever BYTCHK says: reading alone proves little.
job write_and_verify(shard& s, command& c) {
  port::task& t = *c.task;
  const std::uint32_t size = s.block_size();
  const std::uint64_t offset = c.block.lba * size;
  t.length_out = c.block.blocks * size;
  const std::uint64_t all = whole_blocks(s, t.length_out, t.expected_data_out);
  if (all == 0) co_return outcomes::good();
  memory::slice buffer = s.take_buffer(c, std::min(all, window_bytes));
  if (buffer.empty()) co_return shard::no_room(c);
  for (std::uint64_t at = 0; at < all; at += window_bytes) {
    const std::uint64_t octets = std::min(all - at, window_bytes);
    const bool arrived = co_await data_until{s, c, at + octets};
    if (!arrived) co_return outcomes::good();
    const store::status locked = co_await blocks_locked{s, c, window_blocks(c, at, octets, size)};
    if (locked != store::status::good) co_return outcome_of(locked, c.io, size);
    set_data_out(c, at, octets);
    prepare(c, store::verb::write, offset + at, octets);
    c.io.fua = s.snapshot().facts.volatile_cache;
    const store::status written = co_await medium{s, c};
    if (written != store::status::good) co_return outcome_of(written, c.io, size);
    set_buffer(c, buffer, octets);
    prepare(c, store::verb::read, offset + at, octets);
    const store::status read = co_await medium{s, c};
    if (read != store::status::good) co_return outcome_of(read, c.io, size);
    s.unlock(c);
    const std::optional<scsi::outcome> differs = compare(c, at, const_bytes(buffer.data(), octets));
    if (differs) co_return *differs;
    drop_data_out(t, at + octets);
  }
  co_return outcomes::good();
}

/// [SBC-3 5.23] What is read is still there when the result is written: one step for each window.
job or_write(shard& s, command& c) {
  port::task& t = *c.task;
  const std::uint32_t size = s.block_size();
  const std::uint64_t offset = c.block.lba * size;
  t.length_out = c.block.blocks * size;
  const std::uint64_t all = whole_blocks(s, t.length_out, t.expected_data_out);
  if (all == 0) co_return outcomes::good();
  memory::slice buffer = s.take_buffer(c, std::min(all, window_bytes));
  if (buffer.empty()) co_return shard::no_room(c);
  for (std::uint64_t at = 0; at < all; at += window_bytes) {
    const std::uint64_t octets = std::min(all - at, window_bytes);
    const bool arrived = co_await data_until{s, c, at + octets};
    if (!arrived) co_return outcomes::good();
    const store::status locked = co_await blocks_locked{s, c, window_blocks(c, at, octets, size)};
    if (locked != store::status::good) co_return outcome_of(locked, c.io, size);
    set_buffer(c, buffer, octets);
    prepare(c, store::verb::read, offset + at, octets);
    const store::status read = co_await medium{s, c};
    if (read != store::status::good) co_return outcome_of(read, c.io, size);
    set_data_out(c, at, octets);
    or_into(buffer.data(), c.parts);
    set_buffer(c, buffer, octets);
    prepare(c, store::verb::write, offset + at, octets);
    c.io.fua = must_be_durable(s, c);
    const store::status written = co_await medium{s, c};
    if (written != store::status::good) co_return outcome_of(written, c.io, size);
    s.unlock(c);
    drop_data_out(t, at + octets);
  }
  co_return outcomes::good();
}

/// [SBC-3 5.2] Runs behind a range lock. The data-out is what must be there, then what replaces it, in equal halves.
job compare_and_write(shard& s, command& c) {
  port::task& t = *c.task;
  const std::uint32_t size = s.block_size();
  const std::uint64_t half = c.block.blocks * size;
  // With other than all of the data there is nothing that could be done as one step.
  if (!offers(t, 2 * half)) co_return outcomes::invalid_field_in_cdb(13);
  t.length_out = 2 * half;
  if (half == 0) co_return outcomes::good();
  const bool arrived = co_await data_until{s, c, 2 * half};
  if (!arrived) co_return outcomes::good();
  set_data_out(c, 0, half);
  const auto compare_parts = static_cast<unsigned>(c.parts.size());
  add_data_out(c, half, half);
  prepare(c, store::verb::compare_and_write, c.block.lba * size, half);
  c.io.parts_compare = compare_parts;
  c.io.fua = must_be_durable(s, c);
  const store::status status = co_await medium{s, c};
  co_return outcome_of(status, c.io, size);
}

}  // namespace sluice::unit
