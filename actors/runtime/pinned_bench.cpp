// What a message between two pinned actors of one core costs: the hop that every SCSI command makes twice.
#include <benchmark/benchmark.h>

#include <thread>
#include <vector>

#include "actors/runtime/pinned.hpp"

namespace sluice::runtime {
namespace {

/// Goes back and forth as often as `left` says.
struct ball {
  int left = 0;
  int* in_play = nullptr;  // how many balls are
};

/// Sends each note, or each message, back to its peer until nothing is left.
class player final : public pinned<caf::event_based_actor> {
 public:
  explicit player(caf::actor_config& config) : pinned(config) {}
  caf::behavior make_behavior() override {
    return {[this](int left) {
      if (left == 0)
        finished();
      else
        send(caf::actor_cast<caf::actor>(peer->ctrl()), left - 1);
    }};
  }
  player* peer = nullptr;
  std::function<void()> finished;

 private:
  void on_message(void* subject, std::uint32_t) override {
    ball& it = *static_cast<ball*>(subject);
    if (--it.left > 0)
      peer->send_message(subject, 0);
    else if (--*it.in_play == 0)
      finished();
  }
};

class table {
 public:
  table() : system_(configure(config_)), loop_(std::move(*reactor::make_loop({}))), core_(system_, *loop_) {
    thread_ = std::thread([this] { loop_->run(); });
    left_ = spawn_on<player>(core_);
    right_ = spawn_on<player>(core_);
    left_->peer = right_.self;
    right_->peer = left_.self;
  }
  ~table() {
    for (auto& each : {left_, right_}) caf::anon_send_exit(each.handle, caf::exit_reason::user_shutdown);
    left_ = right_ = {};
    system_.await_all_actors_done();
    loop_->stop();
    thread_.join();
  }
  void play(const std::function<void(player&)>& serve) {
    core_.call_async([&](std::function<void()> finished) {
      left_->finished = right_->finished = std::move(finished);
      serve(*left_.self);
    });
  }

 private:
  static caf::actor_system_config& configure(caf::actor_system_config& config) {
    config.set("scheduler.max-threads", 1);
    return config;
  }
  caf::actor_system_config config_;
  caf::actor_system system_;
  std::unique_ptr<reactor::loop> loop_;
  core core_;
  std::thread thread_;
  pinned_ref<player> left_, right_;
};

constexpr int rally = 100'000;

/// As many at a time as there are commands in flight.
void message_hop(benchmark::State& state) {
  const auto count = static_cast<int>(state.range(0));
  table t;
  for (auto _ : state) {
    int in_play = count;
    std::vector<ball> balls(static_cast<std::size_t>(count), {rally / count, &in_play});
    t.play([&](player& first) {
      for (ball& each : balls) first.send_message(&each, 0);
    });
  }
  state.SetItemsProcessed(state.iterations() * (rally / count * count));
}
BENCHMARK(message_hop)->Arg(1)->Arg(4)->Arg(32)->UseRealTime()->Unit(benchmark::kMillisecond);

/// The same by CAF's own messages.
void caf_message_hop(benchmark::State& state) {
  table t;
  for (auto _ : state) t.play([&](player& first) { caf::anon_send(caf::actor_cast<caf::actor>(first.ctrl()), rally); });
  state.SetItemsProcessed(state.iterations() * rally);
}
BENCHMARK(caf_message_hop)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace sluice::runtime
