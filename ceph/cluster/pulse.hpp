#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace sluice::cluster {

/// A thread that calls everybody who asked once a second: what notices that a cluster does not answer. The calls must
/// not block.
class pulse {
 public:
  explicit pulse(std::chrono::milliseconds period = std::chrono::seconds(1));
  ~pulse();
  pulse(const pulse&) = delete;
  pulse& operator=(const pulse&) = delete;

  void add(const void* who, std::function<void()> beat);
  /// After it returns the beat is not running and runs no more. Not from within a beat.
  void remove(const void* who);

 private:
  void work();

  const std::chrono::milliseconds period_;
  std::mutex guard_;  // held while beats run
  std::condition_variable ending_;
  std::map<const void*, std::function<void()>> beats_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace sluice::cluster
