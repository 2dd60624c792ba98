#include <algorithm>
#include <cstring>

#include "gateway/unit/jobs.hpp"

// Reads and writes of any length, a window at a time.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

job read_windows(shard& s, command& c) {
  port::task& t = *c.task;
  const std::uint64_t size = s.block_size();
  const std::uint64_t offset = c.block.lba * size;
  const std::uint64_t wanted = std::min(t.length_in, t.expected_data_in);
  std::vector<memory::slice> places;
  if (must_read_medium(s, c)) {
    const scsi::outcome clean = co_await flushed{s, c};
    if (clean.status != scsi::status::good) co_return clean;
  }
  for (std::uint64_t at = 0; at < wanted; at += window_bytes) {
    if (at > 0) {
      const bool sent = co_await data_in_sent{s, c};
      if (!sent) co_return outcomes::good();
    }
    const std::uint64_t octets = std::min(wanted - at, window_bytes);
    const std::uint64_t whole = (octets + size - 1) / size * size;
    if (s.lend(c, offset + at, whole, octets)) continue;
    places.clear();
    memory::slice buffer;
    const bool has_places = octets == whole && use_destination(c, at, octets, s.gives_up(), places);
    if (!has_places) {
      buffer = co_await buffer_for{s, c, whole};
      if (buffer.empty()) co_return shard::no_room(c);
      set_buffer(c, buffer, whole);
    }
    prepare(c, store::verb::read, offset + at, whole);
    const store::status status = co_await medium{s, c};
    if (status != store::status::good) co_return outcome_of(status, c.io, s.block_size());
    if (has_places)
      for (memory::slice& each : places) t.data_in.push_back(std::move(each));
    else
      t.data_in.push_back(buffer.sub(0, static_cast<std::uint32_t>(octets)));
  }
  co_return outcomes::good();
}

namespace {

/// Whether the data-out lie in memory that is the initiator's again once the task has ended: a medium that may take
/// them later than that gets a copy.
bool is_borrowed(const port::task& t) {
  return std::any_of(t.data_out.begin(), t.data_out.end(), [](const memory::slice& each) { return each.borrowed(); });
}

}  // namespace

job write_windows(shard& s, command& c) {
  port::task& t = *c.task;
  const std::uint64_t offset = c.block.lba * s.block_size();
  const std::uint64_t usable = whole_blocks(s, t.length_out, t.expected_data_out);
  for (std::uint64_t at = 0; at < usable; at += window_bytes) {
    const std::uint64_t octets = std::min(usable - at, window_bytes);
    const bool arrived = co_await data_until{s, c, at + octets};
    if (!arrived) co_return outcomes::good();
    memory::slice copy;
    if (s.gives_up() && is_borrowed(t)) {
      copy = co_await buffer_for{s, c, octets};
      if (copy.empty()) co_return shard::no_room(c);
      copy_data_out(c, at, copy.span().first(octets));
      set_buffer(c, copy, octets);
    } else {
      set_data_out(c, at, octets);
    }
    prepare(c, store::verb::write, offset + at, octets);
    c.io.fua = must_be_durable(s, c);
    const store::status status = co_await medium{s, c};
    if (status != store::status::good) co_return outcome_of(status, c.io, s.block_size());
    drop_data_out(t, at + octets);
  }
  co_return outcomes::good();
}

/// [SBC-3 5.25] The blocks are read so that the tiers above the medium have them.
job pre_fetch(shard& s, command& c) {
  constexpr std::uint64_t most = 16 * mib;
  const std::uint64_t size = s.block_size();
  const std::uint64_t all = c.block.blocks * size;
  if (c.block.immed) co_return outcomes::condition_met();
  memory::slice buffer = s.take_buffer(c, std::min(std::max(all, size), window_bytes));
  if (buffer.empty()) co_return shard::no_room(c);
  const std::uint64_t fetched = std::min(all, most);
  for (std::uint64_t at = 0; at < fetched; at += window_bytes) {
    const std::uint64_t octets = std::min(fetched - at, window_bytes);
    set_buffer(c, buffer, octets);
    prepare(c, store::verb::read, c.block.lba * size + at, octets);
    const store::status status = co_await medium{s, c};
    if (status != store::status::good) co_return outcome_of(status, c.io, s.block_size());
  }
  co_return fetched == all ? outcomes::condition_met() : outcomes::good();
}

/// [SBC-3 5.22] A flush makes more durable than was asked for, never less.
job synchronize_cache(shard& s, command& c) {
  if (c.block.immed) {
    s.flush_in_background(c);
    co_return outcomes::good();
  }
  const scsi::outcome outcome = co_await flushed{s, c};
  co_return outcome;
}

}  // namespace sluice::unit
