#pragma once
#include <sys/types.h>

#include <cstdint>

#include "actors/base/result.hpp"

/// Clocks, cores and the CPU account of a process.
namespace sluice::bench {

std::uint64_t now_ns();

/// CPU time that a process has used. `run_ns` is exact (the scheduler's account over all live threads);
/// user and system are sampled in ticks of the kernel's clock.
struct cpu_time {
  std::uint64_t run_ns = 0, user_ns = 0, system_ns = 0;
};

/// Of this process when `pid` is 0. Fails when there is no such process.
result<cpu_time> cpu_account(pid_t pid);

inline cpu_time operator-(const cpu_time& a, const cpu_time& b) {
  return {a.run_ns - b.run_ns, a.user_ns - b.user_ns, a.system_ns - b.system_ns};
}

/// Keeps this thread on one core; -1: anywhere.
result<> pin_to_core(int core);

}  // namespace sluice::bench
