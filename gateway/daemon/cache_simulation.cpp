#include "gateway/daemon/cache_simulation.hpp"

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/schema/quantity.hpp"
#include "tiers/cache/trace/simulate.hpp"

namespace sluice::daemon {

namespace {

using config::complain;

void print_json(const cache::simulation& made) {
  nlohmann::json rows = nlohmann::json::array();
  for (const cache::simulated_size& row : made.by_size)
    rows.push_back({{"size_bytes", row.size_bytes},
                    {"s3_fifo", row.s3_fifo},
                    {"lru", row.lru},
                    {"arc", row.arc},
                    {"best", row.best}});
  const nlohmann::json all{{"records", made.records},
                           {"blocks_read", made.blocks_read},
                           {"blocks_written", made.blocks_written},
                           {"footprint_bytes", made.footprint_bytes},
                           {"sizes", std::move(rows)}};
  std::printf("%s\n", all.dump(2).c_str());
}

void print_text(const cache::simulation& made) {
  std::printf("%llu records, %llu blocks of 4 KiB read and %llu written, %s touched\n",
              static_cast<unsigned long long>(made.records), static_cast<unsigned long long>(made.blocks_read),
              static_cast<unsigned long long>(made.blocks_written),
              config::approximate_size(made.footprint_bytes).c_str());
  std::printf("%12s  %8s  %8s  %8s  %8s\n", "tier", "sluice", "lru", "arc", "best");
  for (const cache::simulated_size& row : made.by_size)
    std::printf("%12s  %7.2f%%  %7.2f%%  %7.2f%%  %7.2f%%\n", config::approximate_size(row.size_bytes).c_str(),
                100 * row.s3_fifo, 100 * row.lru, 100 * row.arc, 100 * row.best);
}

}  // namespace

int simulate_cache(const config::simulate_options& options) {
  std::ifstream file(options.trace);
  if (!file) return complain(options.trace + " cannot be opened", options.json);
  const auto trace = cache::read_trace(file);
  if (!trace) return complain(options.trace + ": " + trace.error().message, options.json);
  const auto made = cache::simulate(
      *trace,
      {.sizes_bytes = options.sizes_bytes, .writes_stay = !options.write_around, .bypass_bytes = options.bypass_bytes});
  if (!made) return complain(options.trace + ": " + made.error().message, options.json);
  options.json ? print_json(*made) : print_text(*made);
  return 0;
}

}  // namespace sluice::daemon
