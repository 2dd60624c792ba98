#include <gtest/gtest.h>

#include <functional>

#include "actors/observe/log.hpp"
#include "tests/sim/machine_actor.hpp"

/// How long an apply and the end of a gateway wait for a store that holds data which its medium does not take.
namespace sluice::sim {
namespace {

/// What a store still holds, as time goes by.
using holding = std::function<std::uint64_t(std::uint64_t passed_ns)>;

/// A store that holds data for one below, without either.
class reluctant_store final : public store::store {
 public:
  reluctant_store(reactor::sim_world& world, holding left, bool is_volatile)
      : world_(world), begun_ns_(world.now_ns()), left_(std::move(left)), is_volatile_(is_volatile) {}
  const char* type() const noexcept override { return "reluctant"; }
  sluice::store::properties describe() const override {
    sluice::store::properties about;
    about.size_bytes = mib;
    about.volatile_cache = is_volatile_;
    return about;
  }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop&) override { return nullptr; }
  result<void> resize(std::uint64_t) override { return fail(errc::unsupported, "no"); }
  std::string holder() const override { return "the reluctant one"; }
  std::uint64_t destage() override {
    begun_ns_ = world_.now_ns();
    return 1;
  }
  std::uint64_t undestaged_bytes(std::uint64_t) const override { return left_(world_.now_ns() - begun_ns_); }
  result<void> handed_over() override {
    if (undestaged_bytes(1) == 0) return {};
    return fail(errc::busy, "not all is below");
  }
  void take_over() override { ++taken_over; }

  unsigned taken_over = 0;

 private:
  reactor::sim_world& world_;
  std::uint64_t begun_ns_;
  const holding left_;
  const bool is_volatile_;
};

/// A gateway with that store, and no unit.
class standstill : public testing::Test {
 protected:
  ~standstill() override {
    end();
    observe::set_log_sink(nullptr);
  }

  void begin(holding left, bool is_volatile = false) {
    observe::set_log_sink([](std::string_view) {});
    stores_.add({"reluctant", {}, [this, left, is_volatile](const auto&, reactor::loop&, const auto&) {
                   made_ = std::make_shared<reluctant_store>(world_, left, is_volatile);
                   return result<std::shared_ptr<store::store>>(made_);
                 }});
    const auto wait = [this] { world_.run_for(ns_per_ms); };
    loop_ = world_.make_loop(0);
    core_ = std::make_unique<runtime::core>(actors_.system(), *loop_, wait);
    gateway_ = std::move(*daemon::gateway::make({{core_.get()}, *state_, stores_, fabrics_, wait}));
    config::model with;
    with.stores = {config::store_config{"hot", "reluctant", {}, "", {}}};
    ASSERT_TRUE(gateway_->apply(with));
  }
  /// Takes the store away; how long that took.
  std::uint64_t take_away(result<void>& outcome) {
    const std::uint64_t begun_ns = world_.now_ns();
    outcome = gateway_->apply(config::model{});
    return world_.now_ns() - begun_ns;
  }
  std::uint64_t end() {
    if (!gateway_) return 0;
    const std::uint64_t begun_ns = world_.now_ns();
    made_.reset();
    gateway_->stop();
    const std::uint64_t took = world_.now_ns() - begun_ns;
    lost_ = gateway_->has_lost_data();
    gateway_.reset();
    while (actors_.system().registry().running() > 0) world_.run_for(ns_per_ms);
    core_.reset();
    loop_.reset();
    return took;
  }

  reactor::sim_world world_{1};
  actors actors_;
  std::unique_ptr<state::state_store> state_ = state::make_memory_store();
  store::registry stores_;
  port::registry fabrics_;
  std::shared_ptr<reluctant_store> made_;
  std::unique_ptr<reactor::loop> loop_;
  std::unique_ptr<runtime::core> core_;
  std::unique_ptr<daemon::gateway> gateway_;
  bool lost_ = false;
};

constexpr std::uint64_t tick_ns = ns_per_s;  // what else an apply takes

TEST_F(standstill, a_store_of_which_nothing_gets_below_is_not_taken_away_after_20_s) {
  begin([](std::uint64_t) { return 5; });
  result<void> outcome;
  const std::uint64_t took = take_away(outcome);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, errc::timeout);
  EXPECT_NE(outcome.error().message.find("store.hot: cannot be taken away: not all is below"), std::string::npos);
  EXPECT_GE(took, 20 * ns_per_s);
  EXPECT_LE(took, 20 * ns_per_s + tick_ns);
  EXPECT_GE(made_->taken_over, 2u) << "it goes on as before";
  EXPECT_TRUE(gateway_->seen()->stores.contains("hot"));
}

TEST_F(standstill, one_that_empties_slowly_is_waited_for) {
  begin([](std::uint64_t passed_ns) { return 6 - std::min<std::uint64_t>(6, passed_ns / (15 * ns_per_s)); });
  result<void> outcome;
  const std::uint64_t took = take_away(outcome);
  EXPECT_TRUE(outcome);
  EXPECT_GE(took, 90 * ns_per_s);
  EXPECT_LE(took, 90 * ns_per_s + tick_ns);
  EXPECT_FALSE(gateway_->seen()->stores.contains("hot"));
}

TEST_F(standstill, but_for_five_minutes_only) {
  begin([](std::uint64_t passed_ns) { return 1000 - passed_ns / (10 * ns_per_s); });
  result<void> outcome;
  const std::uint64_t took = take_away(outcome);
  EXPECT_FALSE(outcome);
  EXPECT_GE(took, 300 * ns_per_s);
  EXPECT_LE(took, 300 * ns_per_s + tick_ns);
}

TEST_F(standstill, the_end_of_a_gateway_waits_for_memory_for_less_than_a_minute) {
  begin([](std::uint64_t) { return 5; }, true);
  const std::uint64_t took = end();
  EXPECT_GE(took, 50 * ns_per_s);
  EXPECT_LE(took, 60 * ns_per_s);
  EXPECT_TRUE(lost_) << "its status says so";
}

TEST_F(standstill, and_no_longer_than_it_takes) {
  begin([](std::uint64_t passed_ns) { return passed_ns < 30 * ns_per_s ? 5 : 0; }, true);
  const std::uint64_t took = end();
  EXPECT_GE(took, 30 * ns_per_s);
  EXPECT_LE(took, 30 * ns_per_s + tick_ns);
  EXPECT_FALSE(lost_);
}

}  // namespace
}  // namespace sluice::sim
