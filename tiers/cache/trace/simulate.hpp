#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "actors/base/result.hpp"
#include "tiers/cache/trace/trace.hpp"

/// What a RAM tier would have made of a trace: hit ratios by size and policy, so that an operator can size a tier.
namespace sluice::cache {

struct simulation_options {
  std::vector<std::uint64_t> sizes_bytes;  // of the tier; empty: a range that suits the trace
  bool writes_stay = true;                 // write-through: written blocks are kept; false: write-around
  std::uint64_t bypass_bytes = 0;          // reads of a stream longer than this are not admitted; 0: all are
};

/// Hits per read block, 0 to 1.
struct simulated_size {
  std::uint64_t size_bytes = 0;
  double s3_fifo = 0;  // with the bypass of the options, as the tier does it
  double lru = 0;      // the others admit everything
  double arc = 0;
  double best = 0;  // what nobody can pass: Belady's choice, which knows the future
};

struct simulation {
  std::uint64_t records = 0;
  std::uint64_t blocks_read = 0;        // 4 KiB each, counted each time
  std::uint64_t blocks_written = 0;     // likewise
  std::uint64_t footprint_bytes = 0;    // of distinct blocks
  std::vector<simulated_size> by_size;  // smallest first
};

/// errc::invalid_argument when the trace touches more blocks than fit into memory, or a size holds no block.
result<simulation> simulate(const std::vector<trace_record>& trace, const simulation_options& options);

}  // namespace sluice::cache
