#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tiers/journal/offline.hpp"
#include "tiers/journal/test_fixture.hpp"

/// What happens to flash and medium while no gateway runs, and is told by the next start: flash that was cut short,
/// damaged in its last record, or is an older copy; a medium that is one.
namespace sluice::journal {
namespace {

using testing::Each;
using testing::HasSubstr;

constexpr std::uint32_t for_ever = 1'000'000;

class binding_fixture : public journal_fixture {
 public:
  using journal_fixture::journal_fixture;

  /// Opens it, writes, and ends in order while the store below takes nothing.
  void live_with(std::uint64_t block, std::uint8_t octet) {
    open();
    control->fail_next(verb::write, for_ever, status::no_space);
    EXPECT_EQ(write(block * block_bytes, block_bytes, octet), status::good);
    world.sim().run_for(50 * ns_per_ms);
    close();
  }
  std::vector<std::uint8_t> bytes_of(const std::string& path, std::uint64_t length) {
    std::vector<std::uint8_t> octets(length);
    auto opened = world.loop().open_file(path, {});
    EXPECT_TRUE(opened);
    EXPECT_TRUE(world.loop().read_now(*opened, octets, 0));
    world.loop().close(*opened);
    return octets;
  }
  void put(const std::string& path, const std::vector<std::uint8_t>& octets) {
    auto opened = world.loop().open_file(path, {});
    ASSERT_TRUE(opened);
    ASSERT_TRUE(world.loop().write_now(*opened, octets, 0));
    world.loop().close(*opened);
  }
  std::string ownership() {
    auto opened = world.loop().open_file(image, {});
    const std::string text = world.loop().attribute_of(*opened, "sluice").value();
    world.loop().close(*opened);
    return text;
  }
  void set_ownership(const std::string& text) {
    auto opened = world.loop().open_file(image, {});
    ASSERT_TRUE(world.loop().set_attribute(*opened, "sluice", text));
    world.loop().close(*opened);
  }
  result<void> settle_it(decision how) {
    return with_flash([how](auto& loop, auto handle) { return resolve(loop, handle, how); });
  }
  void expect_refused(const std::string& sentence) {
    const auto refused = try_open();
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr(sentence));
    drop();
  }
  void expect_good_to_go_on() {
    open();
    EXPECT_TRUE(settle());
    EXPECT_EQ(tier->health(), "good");
    close();
  }
};

TEST(journal_binding, a_flipped_bit_in_the_last_record_after_an_orderly_end_is_told) {
  binding_fixture s(1);
  s.live_with(3, 7);
  s.spoil_flash(superblock_copies + 1, 1);
  s.open();
  EXPECT_TRUE(s.settle());
  EXPECT_EQ(s.tier->core().lost_blocks(), 1U);
  s.read(*s.channel, 3 * block_bytes, block_bytes, status::medium_error);
  EXPECT_THAT(s.tier->health(), HasSubstr("are lost until they are written anew"));
}

TEST(journal_binding, so_is_one_in_the_last_header) {
  binding_fixture s(2);
  s.live_with(3, 7);
  s.spoil_flash(superblock_copies, 1);
  s.expect_refused("acknowledged data are missing");
  EXPECT_TRUE(s.settle_it(decision::keep));
  s.expect_good_to_go_on();
}

TEST(journal_binding, flash_that_was_cut_short_is_refused_until_somebody_decides) {
  for (const decision how : {decision::keep, decision::discard}) {
    binding_fixture s(3);
    s.live_with(3, 7);
    const auto cut = [](auto& loop, auto handle) { return loop.resize_file(handle, superblock_copies * block_bytes); };
    EXPECT_TRUE(s.with_flash(cut));
    const auto used =
        s.with_flash([](auto& loop, auto handle) { return check_use(loop, handle, "/flash", journal_bytes); });
    ASSERT_FALSE(used);
    EXPECT_THAT(used.error().message, HasSubstr("was cut short"));
    EXPECT_TRUE(s.settle_it(how));
    EXPECT_TRUE(s.with_flash([](auto& loop, auto handle) { return check_use(loop, handle, "/flash", journal_bytes); }));
    s.expect_good_to_go_on();
  }
}

TEST(journal_binding, an_older_copy_of_the_flash_is_not_put_over_newer_data) {
  binding_fixture s(4);
  s.live_with(3, 7);
  const auto older = s.bytes_of("/flash", journal_bytes);
  s.open();
  EXPECT_TRUE(s.settle());
  EXPECT_EQ(s.write(3 * block_bytes, block_bytes, 8), status::good);
  EXPECT_TRUE(s.settle());
  s.control->fail_next(verb::write, for_ever, status::no_space);
  EXPECT_EQ(s.write(4 * block_bytes, block_bytes, 9), status::good);
  s.world.sim().run_for(50 * ns_per_ms);
  s.close();
  s.put("/flash", older);
  s.expect_refused("an older copy of the journal");
  EXPECT_TRUE(s.settle_it(decision::discard));
  s.expect_refused("is an older copy");
}

TEST(journal_binding, nor_is_one_that_holds_nothing_believed) {
  binding_fixture s(5);
  s.open();
  EXPECT_TRUE(s.settle());
  s.close();
  const auto older = s.bytes_of("/flash", journal_bytes);
  s.live_with(3, 7);
  s.put("/flash", older);
  s.expect_refused("had and has no more");
}

TEST(journal_binding, newer_data_are_not_put_over_an_older_copy_of_the_medium) {
  binding_fixture s(6);
  s.live_with(3, 7);
  const std::string earlier = s.ownership();
  s.live_with(4, 7);
  s.set_ownership(earlier);
  s.expect_refused("the medium does not wait for them");
}

TEST(journal_binding, a_start_that_is_cut_off_before_the_medium_knows_of_it_is_none) {
  binding_fixture s(7);
  s.live_with(3, 7);
  {
    const auto opened = s.try_open();  // nobody takes over
    ASSERT_TRUE(opened) << opened.error().message;
  }
  s.drop();
  s.expect_good_to_go_on();
}

TEST(journal_binding, all_blocks_that_are_lost_are_so_after_the_next_start) {
  simulated_world world(8);
  superblock super;
  super.journal_bytes = journal_bytes;
  super.record_blocks = record_blocks;
  const auto start = [&] {
    return std::make_unique<journal_core>(options{}, journal_medium{world.loop(), {}, nullptr}, super, found_log{}, 1,
                                          std::uint64_t{1} << 40);
  };
  constexpr block_number count = 300, far = 1'000'000;
  auto core = start();
  for (block_number b = 0; b < count; ++b) core->lose(1000 + 3 * b);
  core->lose(far);
  EXPECT_EQ(core->lost_blocks(), count + 1);
  core->sign_superblock();
  std::vector<std::uint8_t> block(block_bytes);
  encode(core->super, block);
  super = decode_superblock(block).value();
  core = start();
  for (block_number b = 0; b < count; ++b) EXPECT_TRUE(core->is_lost(1000 + 3 * b)) << b;
  EXPECT_TRUE(core->is_lost(far));
  EXPECT_FALSE(core->is_lost(far / 2)) << "what lies far from all";
  core->found_again(1000, 1004);
  EXPECT_FALSE(core->is_lost(1003));
  EXPECT_GT(core->forget_lost(), count - 3);
  EXPECT_FALSE(core->any_lost());
}

TEST(journal_binding, a_superblock_of_which_nothing_is_left_is_to_be_replaced_and_not_decided_about) {
  binding_fixture s(9);
  s.live_with(3, 7);
  s.spoil_flash(0, 2);
  s.expect_refused("remove the file, or wipe");
  EXPECT_FALSE(s.settle_it(decision::discard));
}

TEST(journal_binding, what_cannot_be_read_can_be_given_up) {
  binding_fixture s(10);
  s.live_with(3, 7);
  s.world.sim().medium_error("/flash", superblock_copies * block_bytes, block_bytes);
  s.expect_refused("cannot be read");
  EXPECT_TRUE(s.settle_it(decision::discard));
  s.expect_good_to_go_on();
}

TEST(journal_binding, a_store_that_always_answers_gets_a_deadline_by_what_waits_for_it) {
  journal_fixture s(11);
  s.open();
  EXPECT_GT(s.tier->describe().deadline_ns, 0U);
}

}  // namespace
}  // namespace sluice::journal
