#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "actors/wire/big_endian.hpp"
#include "tiers/cache/flash/flash_format.hpp"
#include "tiers/cache/test_flash_fixture.hpp"

/// Flash whose metadata are spoilt, that was read wrong once, that has another size, or lost what it had in caches.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::test_request;
using testing::Each;
using testing::HasSubstr;

constexpr std::uint64_t flash_bytes = 512 * kib;
constexpr std::uint64_t segment_blocks = 8;

using octets = std::vector<std::uint8_t>;

/// Half of the store is 7, and half of that warm on flash.
void begin(flash_fixture& s) {
  s.open();
  EXPECT_EQ(s.write(0, 512 * kib, 7), status::good);
  EXPECT_EQ(s.flush(), status::good);
  s.warm();
  EXPECT_GT(s.figure("flash_written_bytes"), 200 * kib);
}

/// The other half gets warm: the log comes round.
void come_round(flash_fixture& s) {
  for (int round = 0; round < 6; ++round)
    for (std::uint64_t at = 256 * kib; at < 512 * kib; at += 4096) s.read(*s.channel, at, 4096);
  s.settle();
}

/// Changes a block of the closed flash; what it was before.
octets change_block(flash_fixture& s, std::uint64_t block, const std::function<void(octets&)>& how) {
  auto opened = s.world.loop().open_file("/flash", {});
  EXPECT_TRUE(opened);
  octets before(block_bytes);
  EXPECT_TRUE(s.world.loop().read_now(*opened, before, block * block_bytes));
  octets after = before;
  how(after);
  EXPECT_TRUE(s.world.loop().write_now(*opened, after, block * block_bytes));
  s.world.loop().close(*opened);
  return before;
}
octets read_block(flash_fixture& s, std::uint64_t block) {
  return change_block(s, block, [](octets&) {});
}
void put_block(flash_fixture& s, std::uint64_t block, const octets& content) {
  change_block(s, block, [&](octets& into) { into = content; });
}

/// The first blocks of the segments, the newest first.
std::vector<std::uint64_t> headers(flash_fixture& s) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
  for (std::uint64_t block = segment_blocks; block < flash_bytes / block_bytes; block += segment_blocks)
    if (const auto header = flash::decode_header(read_block(s, block))) found.emplace_back(header->sequence, block);
  std::sort(found.rbegin(), found.rend());
  std::vector<std::uint64_t> blocks;
  for (const auto& each : found) blocks.push_back(each.second);
  return blocks;
}

constexpr std::uint64_t table_block = 1;
constexpr std::uint64_t first_entry = 32;

TEST(flash_faults, a_page_of_the_region_table_that_was_spoilt_voids_its_regions) {
  const std::vector<std::function<void(octets&)>> ways{
      [](octets& page) { wire::store64(page, first_entry, 0); },          // says less than it did
      [](octets& page) { page[first_entry + 7] ^= 1; },                   // a bit of it
      [](octets& page) { std::fill_n(page.begin(), 512, 0); },            // a sector of it
      [](octets& page) { std::fill(page.begin() + 512, page.end(), 0); }  // all the others
  };
  for (const auto& way : ways) {
    flash_fixture s(1);
    begin(s);
    EXPECT_EQ(s.write(16 * kib, 8192, 9), status::good);
    s.close();
    change_block(s, table_block, way);
    s.open();
    EXPECT_EQ(s.figure("flash_recovered_blocks"), 0);
    EXPECT_THAT(s.read(*s.channel, 16 * kib, 8192), Each(9));
    s.compare();
    EXPECT_EQ(s.store->health(), "good");
  }
}

TEST(flash_faults, a_page_of_the_region_table_that_is_another_one_voids_its_regions) {
  const std::vector<std::function<void(flash::region_page&)>> ways{[](auto& page) { page.number = 1; },
                                                                   [](auto& page) { ++page.id; }};
  for (const auto& way : ways) {
    flash_fixture s(2);
    begin(s);
    EXPECT_EQ(s.write(16 * kib, 8192, 9), status::good);
    s.close();
    change_block(s, table_block, [&](octets& block) {
      flash::region_page page = *flash::decode_region_page(block);
      page.void_up_to.assign(flash::region_page_entries, 0);
      way(page);
      flash::encode(page, block);
    });
    s.open();
    EXPECT_THAT(s.read(*s.channel, 16 * kib, 8192), Each(9));
    s.compare();
  }
}

/// What was read wrong at one start and right at the next: what was written meanwhile must be void all the same.
void read_wrong_once(std::uint64_t seed, const std::function<std::uint64_t(flash_fixture&)>& choose,
                     const std::function<octets(flash_fixture&)>& instead) {
  flash_fixture s(seed);
  begin(s);
  come_round(s);
  s.close();
  const std::uint64_t block = choose(s);
  const octets right = read_block(s, block), wrong = instead(s);
  put_block(s, block, wrong);
  s.open();
  for (std::uint64_t at = 0; at < 512 * kib; at += 4096) EXPECT_EQ(s.write(at, 4096, 9), status::good);
  s.close();
  if (read_block(s, block) == wrong) put_block(s, block, right);
  s.open();
  s.compare();
}

octets garbage(flash_fixture&) {
  return octets(block_bytes, 0x5a);
}

TEST(flash_faults, a_page_of_the_region_table_that_was_read_wrong_once) {
  read_wrong_once(
      3, [](flash_fixture&) { return table_block; }, garbage);
}

TEST(flash_faults, a_header_that_was_read_as_another_one_once) {
  for (std::size_t age : {0, 1, 5})
    read_wrong_once(
        4, [&](flash_fixture& s) { return headers(s).at(age); },
        [](flash_fixture& s) { return read_block(s, headers(s).at(2)); });
  // The last one of the flash, behind which none can be missed.
  for (std::uint64_t seed = 20; seed < 40; ++seed)
    read_wrong_once(
        seed, [](flash_fixture& s) { return std::ranges::max(headers(s)); },
        [](flash_fixture& s) { return read_block(s, headers(s).at(2)); });
}

TEST(flash_faults, a_header_that_was_read_as_something_else_once) {
  for (std::size_t age : {0, 1, 5})
    read_wrong_once(
        5, [&](flash_fixture& s) { return headers(s).at(age); }, garbage);
}

TEST(flash_faults, the_last_header_that_was_read_as_nothing_once) {
  const auto last = [](flash_fixture& s) { return std::ranges::max(headers(s)); };
  const auto nothing = [](flash_fixture&) { return octets(block_bytes, 0); };
  for (std::uint64_t seed = 50; seed < 70; ++seed) {
    read_wrong_once(seed, last, nothing);
    read_wrong_once(seed, last, garbage);
  }
}

TEST(flash_faults, a_superblock_that_was_read_wrong_once) {
  read_wrong_once(
      6, [](flash_fixture&) { return 0; }, garbage);
}

TEST(flash_faults, what_lies_in_caches_at_a_start_does_not_go_with_the_power_later) {
  for (const bool killed : {false, true})
    for (std::uint64_t seed = 10; seed < 20; ++seed) {
      SCOPED_TRACE(seed);
      flash_fixture s(seed);
      begin(s);
      come_round(s);  // what is written now takes the place of what has become durable
      killed ? s.kill() : s.close();
      s.open();
      for (std::uint64_t at = 0; at < 512 * kib; at += 4096) EXPECT_EQ(s.write(at, 4096, 9, true), status::good);
      s.lose_power();
      s.open();
      s.compare();
    }
}

TEST(flash_faults, flash_that_cannot_be_looked_at_or_formatted_is_wiped_before_a_write_goes_below) {
  for (const bool late : {false, true}) {
    flash_fixture s(11);
    begin(s);
    s.close();
    s.world.sim().faults("/flash") = {.fails_writes = true, .short_read = 1};
    s.open();
    EXPECT_THAT(s.store->health(), HasSubstr("it cannot be written"));
    if (late) s.compare();
    s.world.sim().faults("/flash") = {};
    EXPECT_EQ(s.write(16 * kib, 8192, 9), status::good);
    s.restart();
    EXPECT_EQ(s.figure("flash_recovered_blocks"), 0);
    EXPECT_THAT(s.read(*s.channel, 16 * kib, 8192), Each(9));
    s.compare();
    EXPECT_EQ(s.store->health(), "good");
  }
}

TEST(flash_faults, a_superblock_that_was_wiped_stays_so_when_the_power_goes) {
  for (std::uint64_t seed = 100; seed < 140; ++seed) {
    SCOPED_TRACE(seed);
    flash_fixture s(seed);
    begin(s);
    s.restart();  // what lies on flash is durable
    // The table cannot be written; the superblock, an instant later, can.
    s.world.sim().fail_writes("/flash", true);
    test_request w(verb::write, 0, 256 * kib, payload(s.random, octets(256 * kib, 9)));
    w.fua = true;
    s.channel->submit(w);
    ASSERT_TRUE(
        s.world.sim().run_until([&] { return s.store->health() != "good"; }, s.world.sim().now_ns() + ns_per_s));
    s.world.sim().fail_writes("/flash", false);
    ASSERT_TRUE(s.world.sim().run_until([&] { return w.completions == 1; }, s.world.sim().now_ns() + ns_per_s));
    EXPECT_EQ(w.outcome, status::good);
    s.lose_power();
    s.open();
    s.compare();
  }
}

TEST(flash_faults, a_file_that_was_cut_or_has_grown_is_used_as_far_as_it_is_sound) {
  for (const std::uint64_t other : {std::uint64_t{0}, std::uint64_t{4096}, 128 * kib, 300 * kib + 512, 2 * mib}) {
    SCOPED_TRACE(other);
    flash_fixture s(7);
    begin(s);
    EXPECT_EQ(s.write(16 * kib, 8192, 9), status::good);
    s.close();
    auto opened = s.world.loop().open_file("/flash", {});
    ASSERT_TRUE(opened);
    EXPECT_TRUE(s.world.loop().resize_file(*opened, other));
    s.world.loop().close(*opened);
    s.open();
    EXPECT_EQ(s.figure("flash_recovered_blocks") == 0, other <= 4096) << "with its table, what is left is warm";
    s.compare();
    EXPECT_EQ(s.store->health(), "good");
    s.warm();
    EXPECT_GT(s.figure("flash_hit_blocks"), 0);
  }
}

TEST(flash_faults, a_device_of_another_size_begins_anew) {
  for (const std::uint64_t other : {flash_bytes - 4096, flash_bytes + 4096, flash_bytes / 2, flash_bytes * 2}) {
    SCOPED_TRACE(other);
    flash_fixture s(8, 0);
    s.world.sim().make_device("/flash", flash_bytes);
    begin(s);
    s.close();
    s.world.sim().make_device("/flash", other);
    s.open();
    EXPECT_EQ(s.figure("flash_recovered_blocks"), 0);
    s.compare();
    s.warm();
    EXPECT_GT(s.figure("flash_hit_blocks"), 0);
    EXPECT_EQ(s.store->health(), "good");
  }
}

TEST(flash_faults, a_device_that_is_smaller_than_configured_is_used_as_far_as_it_goes) {
  flash_fixture s(9, 1 * mib);
  s.world.sim().make_device("/flash", flash_bytes);
  begin(s);
  EXPECT_EQ(s.write(16 * kib, 8192, 9), status::good);
  s.restart();
  EXPECT_GT(s.figure("flash_recovered_blocks"), 30);
  s.compare();
  s.close();
  s.world.sim().make_device("/flash", 64 * kib);
  const auto refused = s.try_open();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("too small"));
}

}  // namespace
}  // namespace sluice::cache
