#pragma once
#include <sys/types.h>

#include <atomic>

#include "bench/account.hpp"
#include "bench/histogram.hpp"
#include "bench/login.hpp"

namespace sluice::bench {

struct load_settings {
  target_address target;
  unsigned sessions = 1;
  unsigned depth = 32;                // outstanding commands per session
  std::uint32_t extent_bytes = 4096;  // of every command
  unsigned write_percent = 0;
  bool random = true;  // else sequential, each session in its own part
  bool fua = false;
  bool verify = false;             // data is a pattern of place and generation; reads are compared, and all at the end
  std::uint64_t region_bytes = 0;  // 0: the whole unit
  double seconds = 5;              // measured time, after the warm-up; 0: until `count`
  double warm_up_seconds = 0.5;
  std::uint64_t count = 0;    // commands to do in all; 0: until `seconds` have passed
  double rate = 0;            // open loop: commands a second over all sessions; 0: closed loop
  std::uint64_t spin_ns = 0;  // polls so long before it sleeps
  std::uint64_t seed = 1;
  int core = -1;
  pid_t target_pid = 0;                     // whose CPU time is accounted; 0: nobody's
  const std::atomic<bool>* stop = nullptr;  // ends the measured time early when it becomes true; outlives the load
};

struct load_report {
  std::uint64_t reads = 0, writes = 0, read_back = 0, errors = 0, mismatches = 0;
  std::string first_error;
  double seconds = 0;
  histogram latency_ns;  // of reads and writes; in open loop from the time that the command was due
  cpu_time client, target;
};

/// Logs in, runs the load on this thread, logs out. Fails when it cannot begin; failed commands are in the report.
result<load_report> run_load(const load_settings& settings);

}  // namespace sluice::bench
