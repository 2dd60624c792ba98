#include <cstdio>
#include <cstdlib>
#include <string>

#include "tiers/cache/trace/test_traces.hpp"

/// Writes one of the traces that the tests measure policies on: sluice_trace zipf|scan|oltp RECORDS SEED > FILE
int main(int argc, char** argv) {
  const auto number = [](const char* text) { return std::strtoull(text, nullptr, 10); };
  const auto trace = argc == 4 ? sluice::cache::trace_named(argv[1], number(argv[2]), number(argv[3]))
                               : decltype(sluice::cache::zipf_trace(0, 0)){};
  if (trace.empty()) {
    std::fprintf(stderr, "usage: sluice_trace zipf|scan|oltp RECORDS SEED\n");
    return 1;
  }
  std::puts("time_us,op,offset,length");
  for (const auto& record : trace) std::puts(to_line(record).c_str());
  return 0;
}
