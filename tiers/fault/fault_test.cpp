#include <gmock/gmock.h>

#include "tiers/fault/fault_store.hpp"
#include "tiers/fault/register.hpp"
#include "tiers/ram/ram_store.hpp"
#include "tiers/store/contract.hpp"
#include "tiers/store/contract_setup.hpp"

namespace sluice::store::contract {
namespace {

using fault::effect;

result<std::shared_ptr<store>> open_harmless(reactor::loop&, const temporary_folder&, std::uint64_t size) {
  return std::make_shared<fault::fault_store>(*ram::ram_store::make(size), fault::chances{});
}
result<std::shared_ptr<store>> open_slow(reactor::loop&, const temporary_folder&, std::uint64_t size) {
  fault::chances odds;
  odds.seed = 7;
  odds.delay_ns = 1 * ns_per_ms;
  odds.delay_ppm = 300'000;
  return std::make_shared<fault::fault_store>(*ram::ram_store::make(size), odds);
}
INSTANTIATE_TEST_SUITE_P(fault, store_contract,
                         testing::Values(real_subject("harmless", open_harmless), real_subject("slow", open_slow)),
                         name_of);

class fault_test : public testing::Test {
 protected:
  void open(const fault::chances& odds = {}) {
    auto below = ram::ram_store::make(1 * mib);
    ASSERT_TRUE(below);
    store_ = std::make_shared<fault::fault_store>(*below, odds);
    control_ = store_->control();
    enter([this] { channel_ = store_->attach(world_.loop()); });
  }
  void TearDown() override {
    enter([this] { channel_.reset(); });
  }
  void enter(const std::function<void()>& work) {
    world_.enter([&] {
      work();
      world_.finish();
    });
  }
  status run(test_request& r) {
    r.on_done = [this] { world_.finish(); };
    world_.enter([&] {
      r.submitting = true;
      channel_->submit(r);
      r.submitting = false;
    });
    EXPECT_EQ(r.completions, 1);
    return r.outcome;
  }
  status write(std::uint8_t value, std::uint64_t length = 64 * kib) {
    const std::vector<std::uint8_t> content(length, value);
    test_request r(verb::write, 0, length, payload(random_, content));
    const status outcome = run(r);
    failed_offset_ = r.failed_offset;
    return outcome;
  }
  std::vector<std::uint8_t> content(std::uint64_t length = 64 * kib) {
    test_request r(verb::read, 0, length, payload(random_, std::vector<std::uint8_t>(length, 0xee)));
    EXPECT_EQ(run(r), status::good);
    return r.content();
  }

  real_world world_;
  std::shared_ptr<fault::fault_store> store_;
  std::shared_ptr<fault::fault_control> control_;
  std::unique_ptr<channel> channel_;
  std::mt19937_64 random_{99};
  std::uint64_t failed_offset_ = 0;
};

TEST_F(fault_test, fails_as_many_requests_of_a_verb_as_ordered) {
  open();
  control_->fail_next(verb::write, 2, status::no_space);
  EXPECT_EQ(write(1), status::no_space);
  EXPECT_THAT(content(), testing::Each(0));
  EXPECT_EQ(write(1), status::no_space);
  EXPECT_EQ(write(1), status::good);
  EXPECT_THAT(content(), testing::Each(1));
  EXPECT_EQ(control_->injected(), 2U);
}

TEST_F(fault_test, an_order_can_be_taken_back) {
  open();
  control_->fail_next(verb::write, 5, status::gone);
  control_->fail_next(verb::write, 0, status::good);
  EXPECT_EQ(write(1), status::good);
}

TEST_F(fault_test, a_torn_write_leaves_a_prefix_and_says_where_it_ends) {
  open();
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(write(1), status::good);
    control_->order(verb::write, 1, {effect::tear, status::medium_error});
    ASSERT_EQ(write(2), status::medium_error);
    ASSERT_EQ(failed_offset_ % 512, 0U);
    ASSERT_LT(failed_offset_, 64 * kib);
    std::vector<std::uint8_t> expected(64 * kib, 1);
    std::fill_n(expected.begin(), failed_offset_, std::uint8_t{2});
    ASSERT_EQ(content(), expected);
  }
}

TEST_F(fault_test, a_lost_write_is_acknowledged_and_never_happens) {
  open();
  control_->order(verb::write, 1, {effect::lose, status::good});
  EXPECT_EQ(write(1), status::good);
  EXPECT_THAT(content(), testing::Each(0));
}

TEST_F(fault_test, a_stall_holds_requests_in_order_until_the_release) {
  open();
  control_->stall();
  std::vector<int> order;
  test_request first(verb::flush, 0, 0);
  test_request second(verb::flush, 0, 0);
  first.on_done = [&] { order.push_back(1); };
  second.on_done = [&] {
    order.push_back(2);
    world_.finish();
  };
  enter([&] {
    channel_->submit(first);
    channel_->submit(second);
  });
  EXPECT_EQ(control_->held(), 2U);
  EXPECT_TRUE(order.empty());
  control_->release();
  world_.run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(control_->held(), 0U);
}

TEST_F(fault_test, what_is_held_when_the_channel_goes_is_answered_gone) {
  open();
  control_->stall();
  test_request held(verb::flush, 0, 0);
  enter([&] { channel_->submit(held); });
  enter([&] { channel_.reset(); });
  EXPECT_EQ(held.completions, 1);
  EXPECT_EQ(held.outcome, status::gone);
  control_->release();
}

TEST_F(fault_test, chances_strike_about_as_often_as_asked_and_the_same_way_for_a_seed) {
  fault::chances odds;
  odds.seed = 5;
  odds.write_error_ppm = 100'000;
  odds.torn_write_ppm = 100'000;
  std::vector<std::vector<status>> runs;
  for (int run_number = 0; run_number < 2; ++run_number) {
    open(odds);
    auto& outcomes = runs.emplace_back();
    for (int i = 0; i < 500; ++i) outcomes.push_back(write(1, 4096));
    const auto failed = std::ranges::count(outcomes, status::medium_error);
    EXPECT_GT(failed, 50);
    EXPECT_LT(failed, 150);
    TearDown();
  }
  EXPECT_EQ(runs[0], runs[1]);
}

TEST(fault_registration, every_probability_is_bounded_by_a_million) {
  registry all;
  fault::register_store(all);
  const factory* made = all.find("fault");
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->keys.front().name, "over");
  for (const config::key& k : made->keys) {
    if (k.name.ends_with("_ppm")) {
      EXPECT_EQ(k.maximum, 1'000'000U) << k.name;
    }
  }
}

}  // namespace
}  // namespace sluice::store::contract
