#include "tiers/cache/trace/simulate.hpp"

#include <algorithm>

#include "tiers/cache/policy/compared_policies.hpp"
#include "tiers/cache/policy/s3_fifo.hpp"
#include "tiers/cache/trace/references.hpp"

namespace sluice::cache {
namespace {

constexpr std::uint32_t absent = UINT32_MAX;

/// A tier that holds numbers of blocks only.
template <class Policy>
class model_tier {
 public:
  model_tier(std::uint32_t capacity, std::uint32_t distinct)
      : capacity_(capacity), policy_(capacity), slots_(distinct, absent), holds_(capacity) {}

  bool look_up(std::uint32_t block) {
    if (slots_[block] == absent) return false;
    policy_.hit(slots_[block]);
    return true;
  }
  void admit(std::uint32_t block) {
    slot s;
    if (used_ < capacity_) {
      s = used_++;
    } else if (!free_.empty()) {
      s = free_.back();
      free_.pop_back();
    } else {
      s = policy_.victim(block);
      slots_[holds_[s]] = absent;
    }
    slots_[block] = s;
    holds_[s] = block;
    policy_.admitted(s, block);
  }
  void drop(std::uint32_t block) {
    if (slots_[block] == absent) return;
    policy_.removed(slots_[block]);
    free_.push_back(slots_[block]);
    slots_[block] = absent;
  }

 private:
  const std::uint32_t capacity_;
  std::uint32_t used_ = 0;
  Policy policy_;
  std::vector<slot> slots_;
  std::vector<std::uint32_t> holds_;
  std::vector<slot> free_;
};

template <class Policy>
double hit_ratio(const reference_string& string, std::uint32_t capacity, bool writes_stay, bool bypasses) {
  model_tier<Policy> tier(capacity, string.distinct);
  std::uint64_t hits = 0;
  for (const reference& r : string.all) {
    if (r.op == trace_op::discard || (r.op == trace_op::write && !writes_stay)) {
      tier.drop(r.block);
    } else if (tier.look_up(r.block)) {
      if (r.op == trace_op::read) ++hits;
    } else if (!bypasses || !r.streamed) {
      tier.admit(r.block);
    }
  }
  return string.reads == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(string.reads);
}

/// Doublings up to what holds everything, eight of them.
std::vector<std::uint64_t> suitable_sizes(std::uint64_t footprint_bytes) {
  std::vector<std::uint64_t> sizes;
  for (unsigned shift = 7; shift != UINT32_MAX; --shift) {
    const std::uint64_t size = (footprint_bytes >> shift) / block_bytes * block_bytes;
    if (size != 0) sizes.push_back(size);
  }
  return sizes;
}

}  // namespace

result<simulation> simulate(const std::vector<trace_record>& trace, const simulation_options& options) {
  const auto string = references_of(trace, options.bypass_bytes);
  if (!string) return tl::unexpected(string.error());
  simulation out;
  out.records = trace.size();
  out.blocks_read = string->reads;
  out.blocks_written = string->writes;
  out.footprint_bytes = string->distinct * block_bytes;
  std::vector<std::uint64_t> sizes = options.sizes_bytes;
  if (sizes.empty()) sizes = suitable_sizes(out.footprint_bytes);
  std::sort(sizes.begin(), sizes.end());
  for (const std::uint64_t size : sizes) {
    if (size < block_bytes) return fail(errc::invalid_argument, "a tier holds at least one block of 4 KiB");
    // More than the footprint changes nothing.
    const auto capacity =
        static_cast<std::uint32_t>(std::clamp<std::uint64_t>(size / block_bytes, 1, std::max(string->distinct, 1U)));
    simulated_size row;
    row.size_bytes = size;
    row.s3_fifo = hit_ratio<s3_fifo>(*string, capacity, options.writes_stay, options.bypass_bytes != 0);
    row.lru = hit_ratio<lru>(*string, capacity, options.writes_stay, false);
    row.arc = hit_ratio<arc>(*string, capacity, options.writes_stay, false);
    const auto best = static_cast<double>(best_hits(*string, capacity, options.writes_stay));
    row.best = string->reads == 0 ? 0 : best / static_cast<double>(string->reads);
    out.by_size.push_back(row);
  }
  return out;
}

}  // namespace sluice::cache
