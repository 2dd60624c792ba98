#pragma once
#include <cstdint>
#include <string>

namespace sluice::observe {

/// While one exists, lines of the log go to standard error by a thread of their own (log_thread): an event loop never
/// waits for whoever reads them, or does not. At most one; it outlives all threads that log. Signals that main() waits
/// for are blocked before.
class offloaded_log {
 public:
  offloaded_log();
  offloaded_log(const offloaded_log&) = delete;
  offloaded_log& operator=(const offloaded_log&) = delete;
  /// Gives the reader a second.
  ~offloaded_log();
};

/// Until what was logged is written, for at most a second. Any thread.
void drain_log();
/// A line that is no event, behind those that were logged: the last word of a process. Waits for a reader of standard
/// error for at most a second. Any thread.
void say_offloaded(std::string line);
/// Lines that found no room since the start, for standard error did not take them. Any thread.
std::uint64_t dropped_log_lines();

}  // namespace sluice::observe
