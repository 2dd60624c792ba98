#pragma once
#include "actors/reactor/run_queues.hpp"
#include "actors/reactor/sim_messages.hpp"
#include "actors/reactor/simulated.hpp"
#include "actors/reactor/timer_wheel.hpp"

namespace sluice::reactor {

/// A loop whose turns are events of a simulated world.
class sim_loop final : public loop {
 public:
  sim_loop(sim_world& world, unsigned index, std::uint64_t buffer_bytes);
  ~sim_loop() override;

  /// Unique in the world, unlike index(): a loop made anew after a crash is another one.
  std::uint64_t number() const { return number_; }
  void deliver(operation& op, std::int64_t result);
  void turn();
  /// Forgets queued work, timers and completions.
  void forget();

  unsigned index() const noexcept override { return index_; }
  const char* kind() const noexcept override { return "simulated"; }
  /// True while this loop runs, and in the code that sets the world up.
  bool runs_here() const noexcept override { return world_.running_ == nullptr || world_.running_ == this; }
  std::uint64_t now_ns() noexcept override { return world_.now_ns(); }
  std::uint64_t random() noexcept override { return world_.random(); }
  memory::pool& buffers() noexcept override { return buffers_; }
  /// Steps the whole world until stop(), or until nothing is left to happen.
  void run() override;
  void stop() noexcept override { stopping_ = true; }
  void defer(runnable& work) noexcept override;
  void at_turn_end(runnable& work) noexcept override;
  using loop::post;
  void post(runnable& work) noexcept override;
  void arm(timer& t, std::uint64_t delay_ns) noexcept override;
  void disarm(timer& t) noexcept override { timers_.disarm(t); }

  result<handle> listen(const endpoint& where, int backlog) override;
  result<endpoint> local_endpoint(handle h) override;
  result<endpoint> peer_endpoint(handle h) override;
  void accept(operation& op, handle listener) noexcept override;
  void connect(operation& op, const endpoint& to) noexcept override;
  void receive(operation& op, handle h, bytes into) noexcept override;
  std::int64_t receive_now(handle h, bytes into) noexcept override;
  std::int64_t send_now(handle h, const iovec* parts, unsigned count) noexcept override;
  void wait_readable(operation& op, handle h) noexcept override;
  void wait_writable(operation& op, handle h) noexcept override;
  void shutdown(handle h) noexcept override;
  void close(handle h) noexcept override;
  message_sockets& messages() noexcept override { return messages_; }
  void poll(operation& op, handle foreign, unsigned events) noexcept override;

  result<handle> open_file(const std::string& path, open_flags flags) override;
  result<handle> open_memory(std::uint64_t size_bytes) override;
  result<file_info> info(handle h) override;
  result<void> resize_file(handle h, std::uint64_t size_bytes) override;
  result<std::uint64_t> read_now(handle h, bytes to, std::uint64_t offset) override;
  result<void> write_now(handle h, const_bytes from, std::uint64_t offset) override;
  result<void> sync_now(handle h) override;
  result<std::string> attribute_of(handle h, const std::string& name) override;
  result<void> set_attribute(handle h, const std::string& name, const std::string& text) override;
  void read(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset) noexcept override;
  void write(operation& op, handle h, const iovec* parts, unsigned count, std::uint64_t offset,
             bool durable) noexcept override;
  void sync(operation& op, handle h) noexcept override;
  void allocate(operation& op, handle h, allocate_mode mode, std::uint64_t offset,
                std::uint64_t length) noexcept override;
  void find_data(operation& op, handle h, std::uint64_t offset, std::uint64_t* begin,
                 std::uint64_t* end) noexcept override;
  void cancel(operation& op) noexcept override;

 private:
  void wake_at(std::uint64_t when_ns);
  void wake();
  void wake_for_timers();

  sim_world& world_;
  const unsigned index_;
  const std::uint64_t number_;
  const std::uint64_t epoch_ns_;
  memory::pool buffers_;
  timer_wheel timers_;
  run_list posted_;
  run_list deferred_;
  run_list turn_end_;
  completion_list completed_;
  sim_messages messages_;
  std::uint64_t next_turn_ns_;  // the earliest turn that is an event already
  bool stopping_ = false;
};

}  // namespace sluice::reactor
