#include "tiers/ram/ram_store.hpp"
#include "tiers/ram/register.hpp"
#include "tiers/store/contract.hpp"
#include "tiers/store/contract_setup.hpp"

namespace sluice::store::contract {
namespace {

result<std::shared_ptr<store>> open_ram(reactor::loop&, const temporary_folder&, std::uint64_t size) {
  return ram::ram_store::make(size);
}
INSTANTIATE_TEST_SUITE_P(ram, store_contract, testing::Values(real_subject("ram", open_ram)), name_of);

TEST(ram_store, long_requests_give_the_core_back_in_between) {
  real_world world;
  auto opened = ram::ram_store::make(64 * mib);
  ASSERT_TRUE(opened);
  std::unique_ptr<channel> channel;
  test_request slow(verb::write_same, 0, 64 * mib);
  std::vector<std::uint8_t> pattern(512, 0x5a);
  const iovec part{pattern.data(), pattern.size()};
  slow.parts = &part;
  slow.part_count = 1;
  test_request quick(verb::flush, 0, 0);
  bool slow_was_done = false;
  quick.on_done = [&] { slow_was_done = slow.completions != 0; };
  slow.on_done = [&] { world.finish(); };
  world.enter([&] {
    channel = (*opened)->attach(world.loop());
    channel->submit(slow);
    channel->submit(quick);
  });
  EXPECT_EQ(slow.outcome, status::good);
  EXPECT_FALSE(slow_was_done);
  EXPECT_EQ(quick.completions, 1);
}

TEST(ram_store, refuses_sizes_that_no_unit_could_have) {
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1000}}) {
    const auto refused = ram::ram_store::make(size);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::invalid_argument);
  }
  const auto huge = ram::ram_store::make(1024 * tib);
  ASSERT_FALSE(huge);
  EXPECT_EQ(huge.error().code, errc::no_space);
}

TEST(ram_store, is_registered_with_a_required_size) {
  registry all;
  ram::register_store(all);
  const factory* made = all.find("ram");
  ASSERT_NE(made, nullptr);
  ASSERT_EQ(made->keys.size(), 2U);
  EXPECT_EQ(made->keys[0].name, "size");
  EXPECT_TRUE(made->keys[0].required);
}

}  // namespace
}  // namespace sluice::store::contract
