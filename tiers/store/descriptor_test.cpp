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
  status run(channel& channel, test_request& r) {
    r.completions = 0;
    r.on_done = [this] { world_.finish(); };
    world_.enter([&] { channel.submit(r); });
    EXPECT_EQ(r.completions, 1);
    return r.outcome;
  }
  status flush(channel& channel) {
    test_request r(verb::flush, 0, 0);
    return run(channel, r);
  }

  contract::simulated_world world_{1};
  std::mt19937_64 random_{1};
  descriptor* medium_ = nullptr;
  std::shared_ptr<descriptor_store> store_;
  std::unique_ptr<channel> first_;
  std::unique_ptr<channel> second_;
};

TEST_F(descriptor_test, no_flush_is_good_after_writes_were_lost_until_they_are_given_up) {
  test_request write(verb::write, 0, 4 * kib, payload(random_, std::vector<std::uint8_t>(4 * kib, 1)));
  ASSERT_EQ(run(*first_, write), status::good);
  EXPECT_EQ(flush(*first_), status::good);
  test_request lost(verb::write, 0, 8 * kib, payload(random_, std::vector<std::uint8_t>(8 * kib, 2)));
  ASSERT_EQ(run(*first_, lost), status::good);
  medium_->condition->lose_writes(EIO);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(flush(*first_), status::medium_error);
  EXPECT_EQ(flush(*second_), status::medium_error);
  EXPECT_EQ(flush(*store_->attach(world_.loop())), status::medium_error) << "the data are lost for everybody";
  EXPECT_THAT(store_->health(), testing::HasSubstr("up to 8192 acknowledged octets"));
  EXPECT_EQ(store_->describe().losses, 1U);
  EXPECT_EQ(store_->give_up_lost().value(), 8 * kib);
  EXPECT_EQ(flush(*first_), status::good);
  EXPECT_EQ(store_->health(), "good");
  EXPECT_EQ(store_->give_up_lost().value(), 0U);
}

TEST_F(descriptor_test, a_full_medium_that_lost_writes_is_full_to_who_flushes) {
  medium_->condition->lose_writes(ENOSPC);
  EXPECT_EQ(flush(*first_), status::no_space);
  EXPECT_EQ(flush(*second_), status::no_space);
}

TEST_F(descriptor_test, who_writes_all_anew_that_a_flush_lost_can_flush_it) {
  test_request r(verb::flush, 0, 0);
  medium_->condition->lose_writes(EIO);
  EXPECT_EQ(run(*first_, r), status::medium_error) << "nobody had been told of that loss";
  EXPECT_EQ(run(*first_, r), status::medium_error) << "nobody says that it was written anew";
  r.written_anew = r.loss;
  medium_->condition->lose_writes(EIO);
  EXPECT_EQ(run(*first_, r), status::medium_error) << "nor was this one";
  r.written_anew = r.loss;
  EXPECT_EQ(run(*first_, r), status::good);
  EXPECT_EQ(flush(*second_), status::good);
}

/// What one was told does not stand for what the other has written anew.
TEST_F(descriptor_test, a_loss_that_somebody_else_was_told_of_is_not_written_anew) {
  test_request r(verb::flush, 0, 0);
  medium_->condition->lose_writes(EIO);
  EXPECT_EQ(run(*first_, r), status::medium_error);
  r.written_anew = r.loss;
  medium_->condition->lose_writes(EIO);
  EXPECT_EQ(flush(*second_), status::medium_error);
  EXPECT_EQ(run(*first_, r), status::medium_error) << "what was written anew may be lost again";
  r.written_anew = r.loss;
  EXPECT_EQ(run(*first_, r), status::good);
}

/// The system tells of a loss once, and whoever was told may be heard of later than who was not.
TEST_F(descriptor_test, a_sync_is_good_when_those_under_way_have_said_what_they_were_told) {
  for (const verb what : {verb::flush, verb::write_zeroes}) {
    const std::uint64_t other_core = medium_->condition->sync_begins();
    test_request durable(what, 0, what == verb::flush ? 0 : 8 * kib);
    durable.fua = what != verb::flush;
    durable.on_done = [] {};
    world_.loop().post([&] { first_->submit(durable); });
    world_.sim().run_for(ns_per_s);
    EXPECT_EQ(durable.completions, 0);
    const std::uint64_t later = medium_->condition->sync_begins();
    medium_->condition->lose_writes(EIO);
    medium_->condition->sync_ended(other_core);
    world_.sim().run_for(ns_per_s);
    EXPECT_EQ(durable.completions, 1) << "it waits for none that began later";
    EXPECT_EQ(durable.outcome, status::medium_error);
    medium_->condition->sync_ended(later);
  }
}

/// Past the page cache: what a device lost of its cache is told to whoever asks first, be it a durable write.
TEST_F(descriptor_test, a_durable_write_that_was_told_of_a_loss_leaves_no_good_flush_to_others) {
  test_request before(verb::write, 64 * kib, 4 * kib, payload(random_, std::vector<std::uint8_t>(4 * kib, 1)));
  ASSERT_EQ(run(*first_, before), status::good);
  test_request durable(verb::write, 0, 4 * kib, payload(random_, std::vector<std::uint8_t>(4 * kib, 2)));
  durable.fua = true;
  world_.sim().faults("/medium").failed_sync = 1;
  EXPECT_EQ(run(*second_, durable), status::medium_error);
  world_.sim().faults("/medium").failed_sync = 0;
  EXPECT_EQ(flush(*first_), status::medium_error);
  EXPECT_EQ(store_->describe().losses, 1U);
}

TEST_F(descriptor_test, a_durable_write_that_fails_by_itself_loses_nothing_of_others) {
  test_request durable(verb::write, 0, 4 * kib, payload(random_, std::vector<std::uint8_t>(4 * kib, 2)));
  durable.fua = true;
  world_.sim().faults("/medium").fails_writes = true;
  EXPECT_EQ(run(*first_, durable), status::medium_error);
  world_.sim().faults("/medium").fails_writes = false;
  EXPECT_EQ(flush(*second_), status::good);
  EXPECT_EQ(store_->describe().losses, 0U);
}

TEST_F(descriptor_test, requests_that_fail_are_seen_in_health) {
  world_.sim().medium_error("/medium", 0, 4096);
  test_request look(verb::read, 0, 4 * kib, payload(random_, std::vector<std::uint8_t>(4 * kib, 0)));
  EXPECT_EQ(run(*first_, look), status::medium_error);
  EXPECT_THAT(store_->health(), testing::HasSubstr("reads of the medium fail: Input/output error"));
  test_request elsewhere(verb::read, 64 * kib, 4 * kib, payload(random_, std::vector<std::uint8_t>(4 * kib, 0)));
  EXPECT_EQ(run(*first_, elsewhere), status::good);
  EXPECT_THAT(store_->health(), testing::HasSubstr("fail")) << "one good read does not make a medium well";
  world_.sim().run_for(20 * ns_per_s);
  EXPECT_EQ(run(*first_, elsewhere), status::good);
  EXPECT_EQ(store_->health(), "good");
}

TEST_F(descriptor_test, nothing_is_read_or_written_behind_the_end_of_a_medium_that_was_cut) {
  ASSERT_TRUE(world_.loop().resize_file(medium_->handle, 64 * kib));
  test_request across(verb::read, 60 * kib, 8 * kib, payload(random_, std::vector<std::uint8_t>(8 * kib, 0)));
  EXPECT_EQ(run(*first_, across), status::medium_error);
  EXPECT_EQ(across.failed_offset, 64 * kib);
  EXPECT_THAT(store_->health(), testing::HasSubstr("its last 983040 octets cannot be read"));
  EXPECT_EQ(store_->describe().losses, 1U);
  test_request far(verb::write, 512 * kib, 4 * kib, payload(random_, std::vector<std::uint8_t>(4 * kib, 1)));
  EXPECT_EQ(run(*second_, far), status::medium_error) << "what lies between would read as zeroes";
  test_request before(verb::read, 0, 64 * kib, payload(random_, std::vector<std::uint8_t>(64 * kib, 1)));
  EXPECT_EQ(run(*second_, before), status::good);
  EXPECT_EQ(store_->give_up_lost().value(), 983040U);
  EXPECT_EQ(run(*second_, far), status::good);
  EXPECT_EQ(store_->health(), "good");
}

TEST_F(descriptor_test, a_compare_and_write_behind_the_end_compares_with_nothing) {
  ASSERT_TRUE(world_.loop().resize_file(medium_->handle, 64 * kib));
  std::vector<std::uint8_t> zeroes(8 * kib);
  const iovec halves[2] = {{zeroes.data(), 4 * kib}, {zeroes.data() + 4 * kib, 4 * kib}};
  test_request r(verb::compare_and_write, 64 * kib, 4 * kib);
  r.parts = halves;
  r.part_count = 2;
  r.parts_compare = 1;
  EXPECT_EQ(run(*first_, r), status::medium_error);
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
