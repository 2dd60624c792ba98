#include <gtest/gtest.h>

#include "fabrics/vhost/dirty_log.hpp"
#include "fabrics/vhost/inflight.hpp"

namespace sluice::vhost {
namespace {

constexpr std::uint16_t size = 16;

struct region {
  alignas(8) std::array<std::uint8_t, 16 + 16 * size + 64> octets{};
  inflight_record open() { return {octets.data(), size}; }
};

struct plain_mapping final : mapping {
  mutable std::vector<std::uint8_t> octets = std::vector<std::uint8_t>(4);
  bytes span() const override { return octets; }
};

}  // namespace

TEST(inflight, what_was_taken_and_not_given_back_is_found_in_order) {
  region r;
  EXPECT_LE(inflight_record::bytes_of(size), r.octets.size());
  inflight_record first = r.open();
  EXPECT_TRUE(first.recover(0).empty());
  for (const std::uint16_t head : {7, 3, 11, 5}) first.took(head);
  first.giving_back(11);
  first.gave_back(11, 1);
  EXPECT_EQ(r.open().recover(1), (std::vector<std::uint16_t>{7, 3, 5}));
  inflight_record second = r.open();
  second.recover(1);
  second.took(2);  // after those of its predecessor
  EXPECT_EQ(r.open().recover(1), (std::vector<std::uint16_t>{7, 3, 5, 2}));
}

TEST(inflight, a_death_in_the_middle_of_giving_back_loses_and_doubles_nothing) {
  region r;
  inflight_record first = r.open();
  first.recover(0);
  first.took(4);
  first.took(6);
  first.giving_back(4);
  EXPECT_EQ(r.open().recover(0), (std::vector<std::uint16_t>{4, 6})) << "before the guest could see it";
  EXPECT_EQ(r.open().recover(1), (std::vector<std::uint16_t>{6})) << "after that";
  EXPECT_EQ(r.open().recover(1), (std::vector<std::uint16_t>{6}));
}

TEST(inflight, another_ring_begins_anew_and_nonsense_ends) {
  region r;
  r.open().recover(0);
  r.open().took(1);
  EXPECT_TRUE(inflight_record(r.octets.data(), 8).recover(0).empty());
  region wild;
  for (unsigned seed = 0; seed < 2000; ++seed) {
    for (std::size_t i = 0; i < wild.octets.size(); ++i)
      wild.octets[i] = static_cast<std::uint8_t>((i * 2654435761u + seed * 40503u) >> (seed % 13));
    wild.octets[8] = 1, wild.octets[9] = 0, wild.octets[10] = size, wild.octets[11] = 0;
    const auto heads = wild.open().recover(static_cast<std::uint16_t>(seed));
    EXPECT_LE(heads.size(), size);
    for (const std::uint16_t head : heads) EXPECT_LT(head, size);
  }
}

TEST(dirty_log, notes_pages_and_nothing_beyond) {
  const auto memory = std::make_shared<const plain_mapping>();
  const dirty_log log(memory);
  log.note(4096, 1);
  log.note(2 * 4096 + 4095, 2);
  log.note(8 * 4096, 0);
  EXPECT_EQ(memory->octets, (std::vector<std::uint8_t>{0b1110, 0, 0, 0}));
  log.note(31 * 4096, 4096 * 100);
  log.note(~std::uint64_t{0} - 5, 100);
  EXPECT_EQ(memory->octets, (std::vector<std::uint8_t>{0b1110, 0, 0, 0x80}));
}

}  // namespace sluice::vhost
