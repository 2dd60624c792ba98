#pragma once
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

namespace sluice::observe {

/// A line of the log that an operator may have missed.
struct recent_line {
  std::uint64_t number = 0;  // from 1, without gaps
  std::string time;          // UTC, as in the log
  std::string what;          // the text form of the line, without the time
};

/// The last lines of the log, information and above, for `sluice events`. Any thread.
class recent_lines {
 public:
  static constexpr std::size_t capacity = 1024;
  void add(std::string time, std::string what);
  /// Lines with a number of at least `first`, oldest first; `next` receives the number after the last.
  std::vector<recent_line> from(std::uint64_t first, std::uint64_t& next) const;

 private:
  mutable std::mutex lock_;
  std::deque<recent_line> lines_;
  std::uint64_t next_ = 1;
};

/// The one that write_log() feeds.
recent_lines& recent();

}  // namespace sluice::observe
