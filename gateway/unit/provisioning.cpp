#include <algorithm>

#include "gateway/scsi/parameter_lists.hpp"
#include "gateway/unit/jobs.hpp"

// Commands about what is mapped and what reads as zeroes: WRITE SAME, UNMAP, GET LBA STATUS.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

bool is_zero(const command& c) {
  for (const iovec& part : c.parts) {
    const const_bytes octets(static_cast<const std::uint8_t*>(part.iov_base), part.iov_len);
    if (std::any_of(octets.begin(), octets.end(), [](std::uint8_t o) { return o != 0; })) return false;
  }
  return true;
}

/// UNMAP=1 asks to free the blocks where they then read as the pattern does; freed blocks read as zeroes [SBC-3 5.46].
bool frees(const shard& s, const command& c) {
  return c.block.unmap && s.snapshot().facts.thin;
}

}  // namespace

/// [SBC-3 5.46]
job write_same(shard& s, command& c) {
  port::task& t = *c.task;
  const std::uint32_t size = s.block_size();
  const std::uint64_t offset = c.block.lba * size;
  const std::uint64_t length = c.block.blocks * size;
  if (c.block.ndob) {
    c.parts.clear();
  } else {
    // One block, no less and no more: anything else is not the pattern that the initiator meant.
    if (!offers(t, size)) co_return outcomes::invalid_field_in_cdb(1);
    t.length_out = size;
    const bool arrived = co_await data_until{s, c, size};
    if (!arrived) co_return outcomes::good();
    set_data_out(c, 0, size);
  }
  if (length == 0) co_return outcomes::good();
  if (is_zero(c)) {
    c.parts.clear();
    prepare(c, frees(s, c) ? store::verb::discard : store::verb::write_zeroes, offset, length);
    c.io.fua = must_be_durable(s, c);
    const store::status cleared = co_await medium{s, c};
    co_return outcome_of(cleared, c.io, size);
  }
  // A pattern that arrived in pieces is put together: stores take it as one part.
  memory::slice pattern;
  if (c.parts.size() != 1) {
    pattern = s.take_buffer(c, size);
    if (pattern.empty()) co_return shard::no_room(c);
    copy_data_out(c, 0, bytes(pattern.data(), size));
    set_buffer(c, pattern, size);
  }
  prepare(c, store::verb::write_same, offset, length);
  c.io.fua = must_be_durable(s, c);
  const store::status status = co_await medium{s, c};
  co_return outcome_of(status, c.io, size);
}

/// [SBC-3 5.28]
job unmap(shard& s, command& c) {
  port::task& t = *c.task;
  const scsi::unmap_cdb cdb = scsi::decode_unmap(c.cdb());
  t.length_out = cdb.list_length;
  const std::uint64_t offered = std::min<std::uint64_t>(cdb.list_length, t.expected_data_out);
  const bool arrived = co_await data_until{s, c, offered};
  if (!arrived) co_return outcomes::good();
  std::vector<std::uint8_t> list(offered);
  copy_data_out(c, 0, list);
  const scsi::unit_facts& facts = s.snapshot().facts;
  const scsi::unmap_limits limits{facts.capacity_blocks, facts.max_unmap_blocks, facts.max_unmap_descriptors};
  const auto ranges = scsi::parse_unmap(list, limits);
  if (!ranges) co_return ranges.error();
  c.parts.clear();
  for (const scsi::block_range& range : *ranges) {
    if (range.blocks == 0) continue;
    prepare(c, store::verb::discard, range.lba * s.block_size(), range.blocks * s.block_size());
    c.io.fua = must_be_durable(s, c);
    const store::status status = co_await medium{s, c};
    if (status != store::status::good) co_return outcome_of(status, c.io, s.block_size());
  }
  co_return outcomes::good();
}

/// [SBC-3 5.4]
job get_lba_status(shard& s, command& c) {
  const scsi::get_lba_status_cdb cdb = scsi::decode_get_lba_status(c.cdb());
  const scsi::unit_facts facts = s.snapshot().facts;
  if (cdb.lba >= facts.capacity_blocks) co_return outcomes::lba_out_of_range(cdb.lba);
  std::vector<scsi::lba_status> runs;
  if (!s.snapshot().maps) {
    runs.push_back({cdb.lba, facts.capacity_blocks - cdb.lba, scsi::provisioning::mapped});
    co_return answer(s, c, scsi::lba_status_data(cdb, runs));
  }
  c.parts.clear();
  c.extents.clear();
  const std::uint64_t size = facts.block_size;
  prepare(c, store::verb::map, cdb.lba * size, (facts.capacity_blocks - cdb.lba) * size);
  c.io.extents = &c.extents;
  c.io.extent_limit = scsi::lba_status_limit(cdb.allocation);
  const store::status status = co_await medium{s, c};
  if (status != store::status::good) co_return outcome_of(status, c.io, s.block_size());
  for (const store::extent& e : c.extents) {
    const auto state = e.mapped ? scsi::provisioning::mapped : scsi::provisioning::deallocated;
    runs.push_back({e.offset_bytes / size, e.length_bytes / size, state});
  }
  co_return answer(s, c, scsi::lba_status_data(cdb, runs));
}

}  // namespace sluice::unit
