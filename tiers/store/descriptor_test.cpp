#include "tiers/store/descriptor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <random>

#include "tiers/store/contract_simulated.hpp"
#include "tiers/store/descriptor_store.hpp"

namespace sluice::store {
namespace {

TEST(status_of_errno, is_total_and_calls_the_unforeseen_a_medium_error) {
  EXPECT_EQ(status_of_errno(0), status::good);
  EXPECT_EQ(status_of_errno(ENOSPC), status::no_space);
  EXPECT_EQ(status_of_errno(EDQUOT), status::no_space);
  EXPECT_EQ(status_of_errno(EROFS), status::write_protected);
  EXPECT_EQ(status_of_errno(ENODEV), status::gone);
  EXPECT_EQ(status_of_errno(ETIMEDOUT), status::timeout);
  EXPECT_EQ(status_of_errno(ECANCELED), status::aborted);
  for (int number = 1; number < 134; ++number) EXPECT_NE(status_of_errno(number), status::good) << number;
  EXPECT_EQ(status_of_errno(EIO), status::medium_error);
  EXPECT_EQ(status_of_errno(4095), status::medium_error);
}

using contract::payload;
using contract::test_request;

class descriptor_test : public testing::Test {
 protected:
  void SetUp() override {
    const auto handle = world_.loop().open_file("/medium", {.create = true, .direct = true});
    ASSERT_TRUE(handle);
    ASSERT_TRUE(world_.loop().resize_file(*handle, 1 * mib));
    auto medium = std::make_unique<descriptor>(world_.loop(), *handle, *world_.loop().info(*handle), true);
    medium_ = medium.get();
    store_ = std::make_shared<descriptor_store>("test", std::move(medium), false);
    first_ = store_->attach(world_.loop());
    second_ = store_->attach(world_.loop());
  }
  status run(channel& door, test_request& r) {
    r.on_done = [this] { world_.finish(); };
    world_.enter([&] { door.submit(r); });
    EXPECT_EQ(r.completions, 1);
    return r.outcome;
  }
  status flush(channel& door) {
    test_request r(verb::flush, 0, 0);
    return run(door, r);
  }

  contract::simulated_world world_{1};
  std::mt19937_64 random_{1};
  descriptor* medium_ = nullptr;
  std::shared_ptr<descriptor_store> store_;
  std::unique_ptr<channel> first_;
  std::unique_ptr<channel> second_;
};

TEST_F(descriptor_test, every_channel_is_told_once_that_a_flush_failed_somewhere) {
  EXPECT_EQ(flush(*first_), status::good);
  medium_->failed_flushes.fetch_add(1);
  EXPECT_EQ(flush(*first_), status::medium_error);
  EXPECT_EQ(flush(*first_), status::good);
  EXPECT_EQ(flush(*second_), status::medium_error);
  EXPECT_EQ(flush(*second_), status::good);
  EXPECT_EQ(flush(*store_->attach(world_.loop())), status::good) << "a channel made later has nothing to lose";
}

TEST_F(descriptor_test, zeroes_are_written_where_the_medium_makes_none_itself) {
  medium_->punches = false;
  medium_->zeroes = false;
  EXPECT_FALSE(store_->describe().discards);
  for (const verb what : {verb::discard, verb::write_zeroes}) {
    test_request fill(verb::write, 0, 1 * mib, payload(random_, std::vector<std::uint8_t>(1 * mib, 7)));
    ASSERT_EQ(run(*first_, fill), status::good);
    test_request zero(what, 512, 600 * kib);
    zero.fua = true;
    ASSERT_EQ(run(*first_, zero), status::good);
    test_request look(verb::read, 0, 1 * mib, payload(random_, std::vector<std::uint8_t>(1 * mib, 0xee)));
    ASSERT_EQ(run(*first_, look), status::good);
    std::vector<std::uint8_t> expected(1 * mib, 7);
    std::fill_n(expected.begin() + 512, 600 * kib, std::uint8_t{0});
    EXPECT_EQ(look.content(), expected);
  }
}

TEST_F(descriptor_test, a_medium_that_cannot_tell_holes_is_mapped_throughout) {
  medium_->maps = false;
  test_request map(verb::map, 512, 64 * kib);
  EXPECT_EQ(run(*first_, map), status::good);
  ASSERT_EQ(map.found.size(), 1U);
  EXPECT_TRUE(map.found[0].mapped);
  EXPECT_EQ(map.found[0].length_bytes, 64 * kib);
  EXPECT_FALSE(store_->describe().maps);
}

}  // namespace
}  // namespace sluice::store
