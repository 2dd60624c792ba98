#include <atomic>

#include "tests/fabrics/test_live.hpp"
#include "tests/fabrics/test_loopback.hpp"

/// Loopback on real loops with a thread each: what crosses cores there does so for real.
namespace sluice::fabrics {
namespace {

using namespace port::contract;
constexpr unsigned live_cores = live_gateway::cores;

config::port_config loopback_port() {
  config::port_config made;
  made.fabric = "loopback";
  made.name = loopback_port_name;
  return made;
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
  live_gateway gateway({loopback_port()});
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
