#include <benchmark/benchmark.h>

#include <atomic>
#include <thread>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "actors/reactor/timer_wheel.hpp"

namespace sluice::reactor {
namespace {

std::unique_ptr<loop> make(const benchmark::State& state, std::uint64_t spin_ns = 20 * ns_per_us) {
  return make_loop({.kind = state.range(0) ? backend::epoll : backend::uring, .spin_ns = spin_ns}).value();
}

/// Defers itself until the benchmark has seen enough; with 63 others that do the same, an iteration is a turn of 64.
struct chain final : runnable {
  loop* on = nullptr;
  benchmark::State* state = nullptr;
  void run() noexcept override {
    if (state->KeepRunning()) return on->defer(*this);
    on->stop();
  }
};

void defer_and_run(benchmark::State& state) {
  const auto on = make(state);
  struct idle_chain final : runnable {
    loop* on = nullptr;
    bool* ended = nullptr;
    void run() noexcept override {
      if (!*ended) on->defer(*this);
    }
  };
  bool ended = false;
  std::vector<idle_chain> others(63);
  on->post([&] {
    for (idle_chain& each : others) {
      each.on = on.get();
      each.ended = &ended;
      on->defer(each);
    }
  });
  chain counted;
  counted.on = on.get();
  counted.state = &state;
  on->post([&] { on->defer(counted); });
  on->run();
  ended = true;
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * 64);
}
BENCHMARK(defer_and_run)->ArgName("epoll")->Arg(0)->Arg(1);

/// There and back between two threads: two posts, each finding the other side spinning or asleep.
void post_round_trip(benchmark::State& state) {
  const auto on = make(state, static_cast<std::uint64_t>(state.range(1)) * ns_per_us);
  struct answer final : runnable {
    std::atomic<bool> done{false};
    void run() noexcept override { done.store(true, std::memory_order_release); }
  } work;
  std::thread runner([&] { on->run(); });
  for (auto _ : state) {
    work.done.store(false, std::memory_order_relaxed);
    on->post(work);
    while (!work.done.load(std::memory_order_acquire)) __builtin_ia32_pause();
  }
  on->stop();
  runner.join();
}
BENCHMARK(post_round_trip)->ArgNames({"epoll", "spin_us"})->ArgsProduct({{0, 1}, {0, 20}})->UseRealTime();

struct silent final : timer {
  void on_timer() noexcept override {}
};

void timer_arm_and_disarm(benchmark::State& state) {
  timer_wheel wheel;
  std::vector<silent> timers(4096);
  std::size_t next = 0;
  for (auto _ : state) {
    silent& t = timers[next++ % timers.size()];
    wheel.disarm(t);
    wheel.arm(t, 1 + next * 7919 % 100'000);
  }
  wheel.clear();
}
BENCHMARK(timer_arm_and_disarm);

void timer_expiry(benchmark::State& state) {
  timer_wheel wheel;
  std::vector<silent> timers(4096);
  std::uint64_t random = 1;
  for (auto _ : state) {
    for (silent& t : timers) wheel.arm(t, wheel.current_tick() + (random = random * 6364136223846793005 + 1) % 30'000);
    wheel.advance(wheel.current_tick() + 30'000);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * timers.size()));
}
BENCHMARK(timer_expiry);

/// One end of a connection that answers each message with one, both ends on one loop: two receives and two sends an
/// iteration.
class ping_pong {
 public:
  ping_pong(benchmark::State& state, loop& on) : state_(state), on_(on) {
    listener_ = on.listen({"127.0.0.1", 0}, 1).value();
    on.accept(accepted_, listener_);
    on.connect(connected_, on.local_endpoint(listener_).value());
  }
  ~ping_pong() {
    for (const handle h : {client_, server_, listener_}) on_.close(h);
  }

 private:
  void on_accepted(std::int64_t h) noexcept { start(server_, h); }
  void on_connected(std::int64_t h) noexcept { start(client_, h); }
  void start(handle& which, std::int64_t h) {
    which = static_cast<handle>(h);
    if (client_ == no_handle || server_ == no_handle) return;
    on_.receive(at_server_, server_, at_server_buffer_);
    serve_client();
  }
  void serve_client() {
    if (!state_.KeepRunning()) {
      on_.shutdown(server_);
      return;
    }
    on_.receive(at_client_, client_, at_client_buffer_);
    send(client_);
  }
  void send(handle h) {
    const iovec part{message_, sizeof message_};
    on_.send_now(h, &part, 1);
  }
  void on_server(std::int64_t got) noexcept {
    if (got <= 0) return on_.stop();
    on_.receive(at_server_, server_, at_server_buffer_);
    send(server_);
  }
  void on_client(std::int64_t) noexcept { serve_client(); }

  benchmark::State& state_;
  loop& on_;
  handle listener_ = no_handle, client_ = no_handle, server_ = no_handle;
  std::uint8_t message_[64] = {};
  std::uint8_t at_client_buffer_[4096], at_server_buffer_[4096];
  member_operation<ping_pong, &ping_pong::on_accepted> accepted_{*this};
  member_operation<ping_pong, &ping_pong::on_connected> connected_{*this};
  member_operation<ping_pong, &ping_pong::on_client> at_client_{*this};
  member_operation<ping_pong, &ping_pong::on_server> at_server_{*this};
};

void tcp_ping_pong(benchmark::State& state) {
  const auto on = make(state);
  ping_pong both(state, *on);
  on->run();
}
BENCHMARK(tcp_ping_pong)->ArgName("epoll")->Arg(0)->Arg(1);

}  // namespace
}  // namespace sluice::reactor
