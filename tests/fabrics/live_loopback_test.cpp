#include <atomic>
#include <thread>

#include "gateway/daemon/registrations.hpp"
#include "tests/fabrics/test_loopback.hpp"

/// Loopback on real loops with a thread each: what crosses cores there does so for real.
namespace sluice::fabrics {
namespace {

using namespace port::contract;
constexpr unsigned live_cores = 2;

class live_gateway {
 public:
  live_gateway() {
    daemon::register_everything(stores_, fabrics_);
    std::vector<runtime::core*> cores;
    for (unsigned i = 0; i < live_cores; ++i) {
      loops.push_back(reactor::make_loop({.index = i, .buffer_bytes = 64 * mib, .spin_ns = 0}).value());
      cores_.push_back(std::make_unique<runtime::core>(actors_.system(), *loops.back()));
      cores.push_back(cores_.back().get());
      threads_.emplace_back([on = loops.back().get()] { on->run(); });
    }
    gateway_ = daemon::gateway::make({cores, *state_, stores_, fabrics_, {}, {}}).value();
    config::model model;
    config::store_config ram{"ram", "ram", {}, "", {}};
    ram.settings.set("size", std::uint64_t{8 * mib});
    model.stores = {ram};
    config::unit_config unit;
    unit.name = unit.store = "ram";
    model.units = {unit};
    config::target_config target;
    target.name = "main";
    target.luns = {{0, "ram", {}}};
    target.open = true;
    config::port_config port;
    port.fabric = "loopback";
    port.name = loopback_port_name;
    target.ports = {port};
    model.targets = {target};
    const auto applied = gateway_->apply(model);
    EXPECT_TRUE(applied) << (applied ? "" : applied.error().message);
  }
  ~live_gateway() {
    stop();
    gateway_.reset();
    while (actors_.system().registry().running() > 0) std::this_thread::yield();
    for (const auto& each : loops) each->stop();
    for (std::thread& each : threads_) each.join();
    cores_.clear();
  }
  void stop() { gateway_->stop(); }

  std::vector<std::unique_ptr<reactor::loop>> loops;

 private:
  sim::actors actors_;
  store::registry stores_;
  port::registry fabrics_;
  std::unique_ptr<state::state_store> state_ = state::make_memory_store();
  std::vector<std::unique_ptr<runtime::core>> cores_;
  std::vector<std::thread> threads_;
  std::unique_ptr<daemon::gateway> gateway_;
};

bool eventually(const std::function<bool()>& so) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!so() && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return so();
}

struct live_handler final : loopback::session::handler {
  std::atomic<int> up{-1};
  std::atomic<bool> down{false};
  void on_up(const result<void>& how) noexcept override { up = how ? 1 : 0; }
  void on_down(port::loss_reason) noexcept override { down = true; }
};

/// Writes its own blocks and reads them back, over and over, by one channel.
class worker final : loopback::command {
 public:
  worker(loopback::session& by, reactor::loop& on, unsigned channel, std::uint32_t block)
      : by_(by), on_(on), channel_(channel), block_(block) {}
  void begin() {
    on_.post([this] { next(); });
  }
  std::atomic<unsigned> rounds{0};
  std::atomic<bool> over{false};  // without a response: the session has ended
  std::atomic<unsigned> wrong{0};

 private:
  void next() {
    const std::size_t size = 512 * (1 + rounds % 300);
    cdb = block_cdb(writing_ ? 0x2a : 0x28, block_, size / 512);
    data_out = writing_ ? pattern(size, rounds + block_) : octets();
    room = writing_ ? 0 : size;
    tag = block_;
    by_.submit(channel_, *this);
  }
  void on_done() noexcept override {
    if (!on_.runs_here()) ++wrong;
    if (!answered) {
      over = true;
      return;
    }
    const bool attention =
        status == scsi::status::check_condition && scsi::decode_sense(sense).key == scsi::sense_key::unit_attention;
    if (!attention) {
      if (status != scsi::status::good) ++wrong;
      if (!writing_ && data_in != pattern(512 * (1 + rounds % 300), rounds + block_)) ++wrong;
      writing_ = !writing_;
      if (writing_) ++rounds;
    }
    next();
  }

  loopback::session& by_;
  reactor::loop& on_;
  const unsigned channel_;
  const std::uint32_t block_;
  bool writing_ = true;
};

TEST(live_loopback, one_nexus_is_used_from_all_cores_until_its_port_stops) {
  live_gateway gateway;
  live_handler told;
  const auto session = loopback::exchange::of_this_process()
                           .log_in(loopback_port_name, 1, {loopback_initiator_name(0), ""}, 0, told)
                           .value();
  ASSERT_TRUE(eventually([&] { return told.up == 1; }));
  std::vector<std::unique_ptr<worker>> workers;
  for (unsigned i = 0; i < 8; ++i) {
    const unsigned channel = i % live_cores;
    workers.push_back(std::make_unique<worker>(*session, *gateway.loops[channel], channel, i * 512));
    workers.back()->begin();
  }
  for (const auto& each : workers) EXPECT_TRUE(eventually([&] { return each->rounds >= 50; }));
  gateway.stop();
  EXPECT_TRUE(told.down);
  for (const auto& each : workers) {
    EXPECT_TRUE(eventually([&] { return each->over.load(); }));
    EXPECT_EQ(each->wrong, 0u);
  }
}

}  // namespace
}  // namespace sluice::fabrics
