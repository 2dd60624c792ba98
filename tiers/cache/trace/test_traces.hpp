#pragma once
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tiers/cache/policy/hash.hpp"
#include "tiers/cache/trace/trace.hpp"

/// Traces like those that caches are measured on, made from a seed: the same seed gives the same trace everywhere.
namespace sluice::cache {

/// Ranks 0 … count-1 with probabilities proportional to 1 / (rank + 1)^skew.
class zipf_ranks {
 public:
  zipf_ranks(std::uint32_t count, double skew) : sums_(count) {
    double sum = 0;
    for (std::uint32_t i = 0; i < count; ++i) sums_[i] = sum += 1 / std::pow(i + 1.0, skew);
  }
  std::uint32_t draw(std::mt19937_64& random) const {
    const double point = static_cast<double>(random() >> 11) * 0x1p-53 * sums_.back();
    return static_cast<std::uint32_t>(std::upper_bound(sums_.begin(), sums_.end() - 1, point) - sums_.begin());
  }

 private:
  std::vector<double> sums_;
};

class trace_maker {
 public:
  explicit trace_maker(std::uint64_t seed) : random_(seed) {}

  void add(trace_op op, std::uint64_t offset, std::uint32_t length) {
    all_.push_back({time_us_ += 20 + random_() % 80, offset, length, op});
  }
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  std::mt19937_64& random() { return random_; }
  std::vector<trace_record> take() { return std::move(all_); }

 private:
  std::mt19937_64 random_;
  std::uint64_t time_us_ = 0;
  std::vector<trace_record> all_;
};

/// Reads of 4 KiB, skewed by Zipf's law with 0.9, over 64 Ki blocks in no order of place.
inline std::vector<trace_record> zipf_trace(std::uint64_t records, std::uint64_t seed) {
  constexpr std::uint32_t blocks = 65536;
  trace_maker made(seed);
  const zipf_ranks ranks(blocks, 0.9);
  for (std::uint64_t i = 0; i < records; ++i)
    made.add(trace_op::read, mix(ranks.draw(made.random())) % blocks * 4096, 4096);
  return made.take();
}

/// The same, while somebody reads 256 MiB through from end to end every so often, as a backup does.
inline std::vector<trace_record> scan_trace(std::uint64_t records, std::uint64_t seed) {
  constexpr std::uint32_t blocks = 65536;
  trace_maker made(seed);
  const zipf_ranks ranks(blocks, 0.9);
  std::uint64_t scan = 0;
  for (std::uint64_t i = 0; i < records; ++i) {
    if (i % 8 == 0 && i / (records / 4) % 2 == 1) {
      made.add(trace_op::read, (std::uint64_t{blocks} + scan) * 4096, 65536);
      scan = (scan + 16) % blocks;
    } else {
      made.add(trace_op::read, mix(ranks.draw(made.random())) % blocks * 4096, 4096);
    }
  }
  return made.take();
}

/// A database: index pages that are always hot, tables read and written with skew in pages of 8 KiB, a log written from
/// end to end and never read, a report that reads a table through, and a working set that wanders.
inline std::vector<trace_record> oltp_trace(std::uint64_t records, std::uint64_t seed) {
  constexpr std::uint64_t page = 8192, index_pages = 1024, table_pages = 32768, log_pages = 16384;
  trace_maker made(seed);
  const zipf_ranks ranks(table_pages, 0.8);
  std::uint64_t log = 0, report = 0;
  for (std::uint64_t i = 0; i < records; ++i) {
    const std::uint64_t wandered = i * 2000 / std::max<std::uint64_t>(records, 1);
    const std::uint64_t dice = made.below(100);
    const std::uint64_t table = index_pages + (mix(ranks.draw(made.random())) + wandered) % table_pages;
    if (dice < 20) {
      made.add(trace_op::read, made.below(index_pages) * page, page);
    } else if (dice < 60) {
      made.add(trace_op::read, table * page, page);
    } else if (dice < 80) {
      made.add(trace_op::write, table * page, page);
    } else if (dice < 95) {
      made.add(trace_op::write, (index_pages + table_pages + log) * page, page);
      log = (log + 1) % log_pages;
    } else {
      made.add(trace_op::read, (index_pages + report) * page, 8 * page);
      report = (report + 8) % table_pages;
    }
  }
  return made.take();
}

/// By name: "zipf", "scan", "oltp"; empty for another name.
inline std::vector<trace_record> trace_named(const std::string& name, std::uint64_t records, std::uint64_t seed) {
  if (name == "zipf") return zipf_trace(records, seed);
  if (name == "scan") return scan_trace(records, seed);
  if (name == "oltp") return oltp_trace(records, seed);
  return {};
}

}  // namespace sluice::cache
