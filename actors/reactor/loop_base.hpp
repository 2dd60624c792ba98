#pragma once
#include <array>
#include <atomic>
#include <optional>
#include <thread>

#include "actors/reactor/loop.hpp"
#include "actors/reactor/run_queues.hpp"
#include "actors/reactor/system_message_sockets.hpp"
#include "actors/reactor/timer_wheel.hpp"

namespace sluice::reactor {

/// What every loop on real hardware shares: turns, queues, timers, waking, chance. A back end adds how completions
/// are collected and waited for.
class loop_base : public loop {
 public:
  explicit loop_base(const loop_options& options);
  ~loop_base() override;

  unsigned index() const noexcept override { return options_.index; }
  bool runs_here() const noexcept override;
  std::uint64_t now_ns() noexcept override;
  std::uint64_t random() noexcept override;
  memory::pool& buffers() noexcept override { return buffers_; }
  void run() override;
  void stop() noexcept override;
  void defer(runnable& work) noexcept override { deferred_.push(work); }
  void at_turn_end(runnable& work) noexcept override { turn_end_.push(work); }
  using loop::post;
  void post(runnable& work) noexcept override;
  void arm(timer& t, std::uint64_t delay_ns) noexcept override;
  void disarm(timer& t) noexcept override { timers_.disarm(t); }

  result<handle> listen(const endpoint& where, int backlog) override;
  result<endpoint> local_endpoint(handle h) override;
  result<endpoint> peer_endpoint(handle h) override;
  std::int64_t receive_now(handle h, bytes into) noexcept override;
  std::int64_t send_now(handle h, const iovec* parts, unsigned count) noexcept override;
  void shutdown(handle h) noexcept override;
  void close(handle h) noexcept override;
  /// Forgets a socket that another loop will use [hand_over_socket].
  virtual void forget_socket(handle) noexcept {}
  message_sockets& messages() noexcept override { return messages_; }
  result<handle> open_file(const std::string& path, open_flags flags) override;
  result<handle> open_memory(std::uint64_t size_bytes) override;
  result<file_info> info(handle h) override;
  result<void> resize_file(handle h, std::uint64_t size_bytes) override;
  result<std::uint64_t> read_now(handle h, bytes to, std::uint64_t offset) override;
  result<void> write_now(handle h, const_bytes from, std::uint64_t offset) override;
  result<void> sync_now(handle h) override;
  result<std::string> attribute_of(handle h, const std::string& name) override;
  result<void> set_attribute(handle h, const std::string& name, const std::string& text) override;

 protected:
  /// On its own thread, before the first turn of run() and after the last.
  virtual void enter() {}
  virtual void leave() {}
  /// Hands the kernel what was started, then completes what is complete, without waiting. Returns how many completed.
  virtual unsigned collect() noexcept = 0;
  /// Whether collect() would complete something, as cheaply as can be: asked in a spin.
  virtual bool collectable() noexcept = 0;
  /// As collect(), but waits for a first completion or wake(): at most until now_ns() is `until_ns`, or for ever.
  virtual unsigned collect_waiting(std::optional<std::uint64_t> until_ns) noexcept = 0;

  /// Completes `op` in the next turn.
  void complete_later(operation& op, std::int64_t result) noexcept { completed_.push(op, result); }
  /// Counts up when the loop is to wake; the back end waits for it.
  int wake_descriptor() const { return wake_; }

 private:
  void turn() noexcept;
  unsigned gather() noexcept;
  bool has_work() const;
  bool spin(std::uint64_t until_ns) noexcept;
  unsigned sleep() noexcept;
  unsigned run_posted() noexcept;
  unsigned run_timers() noexcept;
  void wake() noexcept;

  const loop_options options_;
  const std::uint64_t epoch_ns_;
  int wake_;
  memory::pool buffers_;
  timer_wheel timers_;
  run_list deferred_;
  run_list turn_end_;
  completion_list completed_;
  system_message_sockets messages_{*this};
  std::thread::id own_thread_;
  std::uint64_t last_work_ns_ = 0;
  unsigned spins_failed_ = 0;
  unsigned spins_to_skip_ = 0;
  std::array<std::uint64_t, 32> entropy_;  // from getrandom, 256 octets at a time: never interrupted, few calls
  std::size_t entropy_left_ = 0;
  alignas(64) std::atomic<runnable*> posted_{nullptr};  // newest first
  std::atomic<bool> asleep_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace sluice::reactor
