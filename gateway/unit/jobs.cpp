#include "gateway/unit/jobs.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::unit {

namespace outcomes = scsi::outcomes;

void prepare(command& c, store::verb what, std::uint64_t offset_bytes, std::uint64_t length_bytes) {
  store::request& r = c.io;
  r.what = what;
  r.fua = false;
  r.offset_bytes = offset_bytes;
  r.length_bytes = length_bytes;
  r.parts = c.parts.data();
  r.part_count = static_cast<unsigned>(c.parts.size());
  r.parts_compare = 0;
  r.extents = nullptr;
  r.extent_limit = 0;
  r.miscompare_offset = 0;
  r.failed_offset = 0;
}

namespace {

/// Calls `use` with each piece of octets [offset, offset + length) of the data-out.
template <class Use>
void each_piece(const port::task& t, std::uint64_t offset, std::uint64_t length, Use use) {
  SLUICE_CHECK(offset >= t.data_out_base && offset + length <= t.data_out_end);
  std::uint64_t start = t.data_out_base;
  for (const memory::slice& slice : t.data_out) {
    if (length == 0) return;
    const std::uint64_t end = start + slice.size();
    if (offset < end) {
      const std::uint64_t within = offset - start;
      const std::uint64_t octets = std::min(length, end - offset);
      use(bytes(slice.data() + within, octets));
      offset += octets;
      length -= octets;
    }
    start = end;
  }
  SLUICE_CHECK(length == 0);
}

}  // namespace

void add_data_out(command& c, std::uint64_t offset, std::uint64_t length) {
  each_piece(*c.task, offset, length, [&](bytes piece) { c.parts.push_back({piece.data(), piece.size()}); });
}

void copy_data_out(const command& c, std::uint64_t offset, bytes to) {
  std::size_t at = 0;
  each_piece(*c.task, offset, to.size(), [&](bytes piece) {
    std::memcpy(to.data() + at, piece.data(), piece.size());
    at += piece.size();
  });
}

bool use_destination(command& c, std::uint64_t offset, std::uint64_t length, bool counted,
                     std::vector<memory::slice>& places) {
  std::uint64_t start = 0;
  const std::size_t before = places.size();
  for (const memory::slice& each : c.task->destination) {
    const std::uint64_t end = start + each.size();
    if (length != 0 && offset < end && !(counted && each.borrowed())) {
      const std::uint64_t octets = std::min(length, end - offset);
      places.push_back(each.sub(static_cast<std::uint32_t>(offset - start), static_cast<std::uint32_t>(octets)));
      offset += octets;
      length -= octets;
    }
    start = end;
  }
  if (length != 0) {
    places.resize(before);
    return false;
  }
  c.parts.clear();
  for (std::size_t i = before; i < places.size(); ++i) c.parts.push_back(places[i].iov());
  return true;
}

void drop_data_out(port::task& t, std::uint64_t offset) {
  std::size_t whole = 0;
  while (whole < t.data_out.size() && t.data_out_base + t.data_out[whole].size() <= offset)
    t.data_out_base += t.data_out[whole++].size();
  t.data_out.erase(t.data_out.begin(), t.data_out.begin() + static_cast<std::ptrdiff_t>(whole));
}

std::uint64_t whole_blocks(const shard& s, std::uint64_t wanted, std::uint64_t offered) {
  return std::min(wanted, offered) / s.block_size() * s.block_size();
}

scsi::outcome answer(shard& s, command& c, std::span<const std::uint8_t> data) {
  port::task& t = *c.task;
  t.length_in = data.size();
  std::size_t left = static_cast<std::size_t>(std::min<std::uint64_t>(data.size(), t.expected_data_in));
  const std::uint8_t* from = data.data();
  if (!t.destination.empty() && use_destination(c, 0, left, false, t.data_in)) {
    for (const iovec& part : c.parts) {
      std::memcpy(part.iov_base, from, part.iov_len);
      from += part.iov_len;
    }
    return outcomes::good();
  }
  while (left > 0) {
    const std::size_t octets = std::min<std::size_t>(left, window_bytes);
    memory::slice buffer = s.take_buffer(c, octets);
    if (buffer.empty()) {
      t.data_in.clear();
      return shard::no_room(c);
    }
    std::memcpy(buffer.data(), from, octets);
    t.data_in.push_back(buffer.sub(0, static_cast<std::uint32_t>(octets)));
    from += octets;
    left -= octets;
  }
  return outcomes::good();
}

scsi::outcome outcome_of(store::status status, const store::request& r, std::uint32_t block_size) {
  const bool place_known = r.failed_offset >= r.offset_bytes && r.failed_offset - r.offset_bytes < r.length_bytes;
  const std::uint64_t lba = (place_known ? r.failed_offset : r.offset_bytes) / block_size;
  const bool reads = r.what == store::verb::read || r.what == store::verb::map;
  switch (status) {
    case store::status::good:
      return outcomes::good();
    case store::status::miscompare:
      return outcomes::miscompare(r.miscompare_offset);
    case store::status::medium_error:
      if (r.what == store::verb::flush) return outcomes::write_error();
      return reads ? outcomes::unrecovered_read_error(lba) : outcomes::write_error(lba);
    case store::status::no_space:
      return outcomes::no_space();
    case store::status::write_protected:
      return outcomes::write_protected();
    case store::status::gone:
      return outcomes::hardware_error(scsi::asc::logical_unit_failure);
    case store::status::timeout:
      return outcomes::aborted(scsi::asc::logical_unit_timeout);
    case store::status::aborted:
      return outcomes::busy();
  }
  return outcomes::hardware_error();
}

bool must_be_durable(const shard& s, const command& c) {
  const unit_snapshot& now = s.snapshot();
  return now.facts.volatile_cache && (c.block.fua || !now.mode.write_cache);
}

bool must_read_medium(const shard& s, const command& c) {
  return s.may_hold_writes() && (c.block.fua || c.row->what == scsi::command::verify);
}

// -- the shard's half ------------------------------------------------------------------------------------------

void shard::ask_data(command& c) noexcept {
  port::task& t = *c.task;
  t.wanted_offset = t.data_out_end;
  const std::uint64_t most = std::max<std::uint32_t>(1, c.nexus->identity->caps.max_get_bytes);
  t.wanted_length = static_cast<std::uint32_t>(std::min(c.data_goal - t.data_out_end, most));
  hand_over(c, port::task_event::get_data);
}

void shard::hand_over(command& c, port::task_event what) noexcept {
  c.with = command::place::fabric;
  c.task->fabric->post(*c.task, what);
  if (c.nexus->leaving) [[unlikely]]  // the unit is taken away: nobody waits for an initiator any more
    take_back(c, {abort_disposition::busy});
  if (gate_) [[unlikely]]
    check_quiet();
}

void shard::ask_coordinator(command& c, std::vector<std::uint8_t> parameters) {
  c.with = command::place::coordinator;
  control_request request;
  request.shard = options_.index;
  request.id = c.serial;
  request.nexus = c.nexus->identity->id;
  request.who = c.nexus->who();
  request.cdb_bytes = static_cast<std::uint8_t>(std::min<std::size_t>(c.task->cdb_bytes, request.cdb.size()));
  request.cdb = c.task->cdb;
  request.parameters = std::move(parameters);
  coordinator_.send(std::move(request));
}

}  // namespace sluice::unit
