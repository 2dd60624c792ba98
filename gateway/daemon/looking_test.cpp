#include "gateway/daemon/looking.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "actors/observe/log.hpp"
#include "gateway/daemon/registrations.hpp"
#include "gateway/daemon/test_wire.hpp"

// What is shown of a gateway while a loop or a medium does not answer.
namespace sluice::daemon {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

class looking : public testing::Test {
 protected:
  looking() {
    observe::set_log_sink([](std::string_view) {});
    register_everything(stores_, real_fabrics_);
    fabrics_.add(wire_.fabric());
    machine_options how;
    how.reactors = 2;
    how.backend = reactor::backend::epoll;
    how.buffer_bytes = 16 * mib;
    machine_ = std::move(*machine::start(how));
    gateway_ = std::move(*gateway::make({machine_->cores(), *state_, stores_, fabrics_}));
    const auto done = gateway_->apply(model());
    EXPECT_TRUE(done) << done.error().message;
    session_ = wire_.log_in("one", 1, "iqn.host", 1);
    session_->attentions(0);
    session_->attentions(1);
  }
  ~looking() override {
    session_->end();
    gateway_->stop();
    gateway_.reset();
    machine_.reset();
    observe::set_log_sink(nullptr);
  }

  static config::model model() {
    config::model m;
    config::store_config below, slow;
    below.name = "below";
    below.type = "ram";
    below.settings.set("size", std::uint64_t{mib});
    slow.name = "slow";
    slow.type = "fault";
    slow.over = "below";
    slow.settings.set("over", std::string("below"));
    slow.settings.set("delay", std::uint64_t{400 * ns_per_ms});
    slow.settings.set("deadline", std::uint64_t{40 * ns_per_ms});
    config::store_config good = below;
    good.name = "good";
    m.stores = {below, good, slow};
    config::unit_config unit;
    unit.name = unit.store = "good";
    m.units.push_back(unit);
    unit.name = unit.store = "slow";
    m.units.push_back(unit);
    config::target_config one;
    one.name = "one";
    one.luns = {{0, "good", {}}, {1, "slow", {}}};
    config::port_config port;
    port.fabric = "wire";
    port.name = "one";
    port.settings.set("listen", std::vector<std::string>{"127.0.0.1:1"});
    one.ports = {port};
    m.targets = {one};
    return m;
  }

  store::registry stores_;
  port::registry real_fabrics_, fabrics_;
  wire wire_;
  const std::unique_ptr<state::state_store> state_ = state::make_memory_store();
  std::unique_ptr<machine> machine_;
  std::unique_ptr<gateway> gateway_;
  std::shared_ptr<wire::session> session_;
};

/// A turn of a loop that goes on until it is let go.
class blocked_loop {
 public:
  explicit blocked_loop(reactor::loop& which) {
    which.post([begun = begun_, over = over_.get_future().share()] {
      begun->set_value();
      over.wait();
    });
    begun_->get_future().wait();
  }
  ~blocked_loop() { go_on(); }
  void go_on() {
    if (std::exchange(held_, false)) over_.set_value();
  }

 private:
  const std::shared_ptr<std::promise<void>> begun_ = std::make_shared<std::promise<void>>();
  std::promise<void> over_;
  bool held_ = true;
};

/// Looks until what is seen is so, for ten seconds at most; what was seen last.
template <class So>
control::view::status look_until(onlooker& at, So so) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    control::view::status seen = at.look();
    if (so(seen) || std::chrono::steady_clock::now() > end) return seen;
    std::this_thread::sleep_for(milliseconds(10));
  }
}

TEST_F(looking, a_loop_that_stands_still_is_told_and_shown_as_it_was) {
  onlooker at(*gateway_, *machine_);
  ASSERT_TRUE(session_->write(0, 1, 0x11));
  const auto before = at.look();
  ASSERT_EQ(before.units.size(), 2U);
  ASSERT_EQ(before.targets.at(0).sessions.size(), 1U);
  EXPECT_EQ(before.gateway.reactors.at(0).silent_s, 0);
  EXPECT_EQ(before.gateway.reactors.at(1).silent_s, 0);

  for (const std::size_t which : {0U, 1U}) {
    blocked_loop still(machine_->cores()[which]->loop());
    const auto began = std::chrono::steady_clock::now();
    const auto meanwhile = at.look();
    const auto took = std::chrono::steady_clock::now() - began;
    EXPECT_GE(took, milliseconds(70));
    EXPECT_LT(took, milliseconds(700)) << "less than the second that makes a standstill";
    EXPECT_GT(meanwhile.gateway.reactors.at(which).silent_s, 0.05);
    EXPECT_EQ(meanwhile.gateway.reactors.at(1 - which).silent_s, 0);
    EXPECT_EQ(meanwhile.targets.at(0).sessions.size(), 1U);
    ASSERT_EQ(meanwhile.units.size(), 2U);
    EXPECT_EQ(meanwhile.units[0].serial, before.units[0].serial);
    EXPECT_EQ(nlohmann::json(meanwhile.units[0].commands), nlohmann::json(before.units[0].commands));

    const auto later = look_until(
        at, [&](const control::view::status& seen) { return seen.gateway.reactors.at(which).health != "good"; });
    EXPECT_THAT(later.gateway.reactors.at(which).health, StartsWith("stands still for "));
    EXPECT_GT(later.gateway.reactors.at(which).silent_s, 1);
    EXPECT_EQ(later.gateway.reactors.at(1 - which).health, "good");
    EXPECT_EQ(later.targets.at(0).sessions.size(), 1U);

    still.go_on();
    machine_->cores()[which]->call([] {});  // what was asked before is answered
    const auto after = at.look();
    EXPECT_EQ(after.gateway.reactors.at(which).health, "good");
    EXPECT_EQ(after.gateway.reactors.at(which).silent_s, 0);
  }
}

TEST_F(looking, tells_who_does_what_and_what_it_takes) {
  onlooker at(*gateway_, *machine_);
  const auto before = at.look();
  ASSERT_TRUE(session_->write(0, 1, 0x11));
  const auto seen = at.look(true);
  const auto& session = seen.targets.at(0).sessions.at(0);
  const auto& earlier = before.targets.at(0).sessions.at(0);
  EXPECT_EQ(session.commands, earlier.commands + 1);
  EXPECT_GT(session.bytes, earlier.bytes);
  EXPECT_EQ(seen.gateway.reactors.at(0).buffers_limit_bytes, 16 * mib);
  EXPECT_EQ(seen.gateway.max_sessions, 4096u);
  std::uint64_t counted = 0, written = 0;
  for (const auto& command : seen.units.at(0).commands) {
    if (command.what != "write") continue;
    written = command.count;
    for (const auto& [edge_us, count] : command.latencies) counted += count;
  }
  EXPECT_GT(written, 0u);
  EXPECT_EQ(counted, written);
  const auto unasked = at.look();
  for (const auto& command : unasked.units.at(0).commands) EXPECT_TRUE(command.latencies.empty());
}

TEST_F(looking, questions_do_not_pile_up_before_a_loop_that_stands_still) {
  onlooker at(*gateway_, *machine_);
  at.look();
  blocked_loop still(machine_->cores()[1]->loop());
  look_until(at, [](const control::view::status& seen) { return seen.gateway.reactors.at(1).health != "good"; });
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) at.look();
  EXPECT_LT(std::chrono::steady_clock::now() - began, milliseconds(50 * 70 / 2)) << "it is not waited for any more";
}

TEST_F(looking, a_medium_that_does_not_answer_makes_its_unit_ill_and_no_other) {
  onlooker at(*gateway_, *machine_);
  const auto well = at.look();
  EXPECT_EQ(well.units.at(0).health, "good");
  EXPECT_EQ(well.units.at(1).health, "good");
  EXPECT_FALSE(session_->write(1, 1, 0x22)) << "given up";
  const auto ill = at.look();
  EXPECT_EQ(ill.units.at(0).health, "good");
  EXPECT_THAT(ill.units.at(1).health, HasSubstr("the medium does not answer: 1 were answered without it"));
  const auto again =
      look_until(at, [](const control::view::status& seen) { return seen.units.at(1).health == "good"; });
  EXPECT_EQ(again.units.at(1).health, "good") << "the medium has answered";
}

}  // namespace
}  // namespace sluice::daemon
