#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "actors/base/result.hpp"
#include "tiers/cache/policy/geometry.hpp"
#include "tiers/cache/trace/trace.hpp"

namespace sluice::cache {

/// One touch of one block. Blocks are numbered in the order of their first touch.
struct reference {
  std::uint32_t block;
  trace_op op;
  bool streamed;  // a read beyond the bypass of its stream
};

struct reference_string {
  std::vector<reference> all;
  std::uint32_t distinct = 0;
  std::uint64_t reads = 0, writes = 0;
};

/// errc::invalid_argument when there are more than `limit` touches.
result<reference_string> references_of(const std::vector<trace_record>& trace, std::uint64_t bypass_bytes,
                                       std::uint64_t limit = 1ull << 28);

/// How many reads of the string the best possible tier of `capacity` blocks answers: it knows the future, and may
/// refuse a block. `writes_stay` as in simulation_options.
std::uint64_t best_hits(const reference_string& string, std::uint32_t capacity, bool writes_stay);

}  // namespace sluice::cache
