#include <sstream>

#include "actors/base/check.hpp"
#include "tiers/cache/trace/trace.hpp"

namespace cache = sluice::cache;

/// Any octets are a trace or an error; what was read survives the way back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream in(std::string(reinterpret_cast<const char*>(data), size));
  const auto read = cache::read_trace(in, 10'000);
  if (!read) return 0;
  for (const cache::trace_record& record : *read)
    SLUICE_CHECK(cache::parse_trace_line(cache::to_line(record)) == record);
  return 0;
}
