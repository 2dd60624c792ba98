#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice::observe {

/// Lines on their way to a descriptor that may not take them: a thread of its own writes, and whoever adds a line never
/// waits for it. What finds no room is dropped and counted, and a line tells of it once there is room.
class log_thread {
 public:
  /// `told` makes the line about so many that were dropped. The descriptor stays the caller's.
  log_thread(int descriptor, std::string (*told)(std::uint64_t dropped), std::size_t room_bytes = 256 * 1024);
  /// What has not been written is lost.
  ~log_thread();

  /// With its newline. Any thread.
  void add(std::string line);
  std::uint64_t dropped() const;
  /// Waits until all is written, but not for longer than that.
  void drain(std::chrono::milliseconds patience);

 private:
  void work();
  bool write_all(const std::string& text);
  bool is_stopping() const;

  const int descriptor_;
  std::string (*const told_)(std::uint64_t);
  const std::size_t room_bytes_;
  mutable std::mutex guard_;
  std::condition_variable more_, empty_;
  std::vector<std::string> lines_;
  std::size_t bytes_ = 0;  // of lines_, and of those being written
  std::uint64_t dropped_ = 0, dropped_told_ = 0;
  bool stopping_ = false;
  std::thread worker_;  // last: it uses all of the above
};

}  // namespace sluice::observe
