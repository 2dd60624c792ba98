#include "tiers/cache/trace/references.hpp"

#include <queue>
#include <utility>

#include "tiers/cache/policy/streams.hpp"

namespace sluice::cache {
namespace {

constexpr std::uint32_t never = UINT32_MAX;

/// For each touch, where its block is next read while it could still be there; `never` when that does not happen.
std::vector<std::uint32_t> next_uses(const reference_string& string, bool writes_stay) {
  std::vector<std::uint32_t> next(string.all.size(), never), upcoming(string.distinct, never);
  for (std::size_t i = string.all.size(); i-- > 0;) {
    const reference& r = string.all[i];
    next[i] = upcoming[r.block];
    if (r.op == trace_op::read) upcoming[r.block] = static_cast<std::uint32_t>(i);
    // A write renews a block that stays: whether it was kept until then matters to nobody.
    if (r.op != trace_op::read) upcoming[r.block] = never;
    if (r.op == trace_op::discard || (r.op == trace_op::write && !writes_stay)) next[i] = never;
  }
  return next;
}

}  // namespace

result<reference_string> references_of(const std::vector<trace_record>& trace, std::uint64_t bypass_bytes,
                                       std::uint64_t limit) {
  reference_string out;
  std::unordered_map<std::uint64_t, std::uint32_t> numbers;
  stream_detector streams;
  for (const trace_record& record : trace) {
    const std::uint64_t first = record.offset_bytes / block_bytes;
    const std::uint64_t last = (record.offset_bytes + record.length_bytes - 1) / block_bytes;
    if (out.all.size() + (last - first + 1) > limit)
      return fail(errc::invalid_argument,
                  "the trace touches more than " + std::to_string(limit) + " blocks of 4 KiB: cut it");
    bool streamed = false;
    if (record.op == trace_op::read) {
      const std::uint64_t run = streams.observe(record.offset_bytes, record.length_bytes);
      streamed = bypass_bytes != 0 && run > bypass_bytes;
    }
    for (std::uint64_t block = first; block <= last; ++block) {
      const auto [known, fresh] = numbers.try_emplace(block, out.distinct);
      if (fresh) ++out.distinct;
      out.all.push_back({known->second, record.op, streamed});
      if (record.op == trace_op::read) ++out.reads;
      if (record.op == trace_op::write) ++out.writes;
    }
  }
  return out;
}

std::uint64_t best_hits(const reference_string& string, std::uint32_t capacity, bool writes_stay) {
  const std::vector<std::uint32_t> next = next_uses(string, writes_stay);
  // Whose next use is the farthest is on top; entries that a later touch made stale are passed over.
  std::priority_queue<std::pair<std::uint32_t, std::uint32_t>> farthest;
  std::vector<std::uint32_t> due(string.distinct, never);  // of the blocks that are there: their next use
  std::uint32_t held = 0;
  std::uint64_t hits = 0;
  for (std::size_t i = 0; i < string.all.size(); ++i) {
    const auto [block, op, streamed] = string.all[i];
    const bool there = due[block] != never;
    if (there && op == trace_op::read) ++hits;
    if (there) --held;
    due[block] = never;
    if (next[i] == never) continue;
    if (held == capacity) {
      while (due[farthest.top().second] != farthest.top().first) farthest.pop();
      if (farthest.top().first < next[i]) continue;
      due[farthest.top().second] = never;
      farthest.pop();
      --held;
    }
    due[block] = next[i];
    farthest.emplace(next[i], block);
    ++held;
  }
  return hits;
}

}  // namespace sluice::cache
