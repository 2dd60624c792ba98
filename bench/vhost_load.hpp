#pragma once
#include <sys/types.h>

#include <atomic>
#include <string>

#include "bench/account.hpp"
#include "bench/histogram.hpp"

namespace sluice::bench {

struct vhost_settings {
  std::string path;  // of the port's socket
  std::uint16_t lun = 0;
  unsigned queues = 1;
  unsigned depth = 32;  // outstanding commands per queue
  std::uint32_t extent_bytes = 4096;
  unsigned write_percent = 0;
  std::uint64_t region_bytes = 64ull << 20;
  double seconds = 5, warm_up_seconds = 0.5;
  bool verify = false;        // what is read is what was written last
  bool reconnects = false;    // comes back when the gateway is gone, and goes on
  std::uint64_t spin_ns = 0;  // looks so long before it waits for a signal
  std::uint64_t seed = 1;
  int core = -1;
  pid_t target_pid = 0;
};

struct vhost_report {
  std::uint64_t reads = 0, writes = 0, errors = 0, mismatches = 0, reconnections = 0, attentions = 0;
  std::string first_error;
  double seconds = 0;
  histogram latency_ns;
  cpu_time client, target;
};

/// Drives a vhost port as hard as one thread can, as the driver of a guest would, without a guest. Fails when it cannot
/// begin; failed commands are in the report.
result<vhost_report> run_vhost_load(const vhost_settings& settings);

}  // namespace sluice::bench
