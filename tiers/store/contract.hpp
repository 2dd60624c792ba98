#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tiers/store/contract_kit.hpp"

/// The contract suite: what every store owes its users, run over each of them. A room's test includes this header in
/// one source file and instantiates the suite:
///
///   INSTANTIATE_TEST_SUITE_P(ram, store_contract, testing::Values(subject{"ram", make_ram}), name_of);
namespace sluice::store::contract {

class store_contract : public testing::TestWithParam<subject> {
 protected:
  static constexpr std::uint64_t size = 4 * mib;

  void SetUp() override {
    if (!GetParam().skip.empty()) GTEST_SKIP() << GetParam().skip;
    setup_ = GetParam().make();
    store_ = setup_->open(size);
    ASSERT_NE(store_, nullptr);
    inside([this] { channel_ = store_->attach(setup_->where().loop()); });
    block_ = std::max<std::uint64_t>(512, store_->describe().logical_block);
    model_.assign(size, 0);
  }
  void TearDown() override {
    if (!setup_) return;
    for (bool idle = false; channel_ && !idle;) inside([&] { idle = channel_->idle(); });
    inside([this] { channel_.reset(); });
    store_.reset();
  }

  void inside(const std::function<void()>& work) {
    setup_->where().enter([&] {
      work();
      setup_->where().finish();
    });
  }
  /// Submits all at once and waits for all.
  void run(const std::vector<test_request*>& all) {
    std::size_t left = all.size();
    setup_->where().enter([&] {
      for (test_request* r : all) {
        r->on_done = [&] {
          if (--left == 0) setup_->where().finish();
        };
        r->submitting = true;
        channel_->submit(*r);
        r->submitting = false;
      }
    });
    for (const test_request* r : all) EXPECT_EQ(r->completions, 1);
  }
  status run(test_request& r) {
    run(std::vector{&r});
    return r.outcome;
  }

  payload scattered(std::span<const std::uint8_t> content) { return {random_, content}; }
  std::vector<std::uint8_t> random_bytes(std::uint64_t length) {
    std::vector<std::uint8_t> octets(length);
    const std::uint64_t seed = random_();
    for (std::size_t i = 0; i < length; ++i) octets[i] = static_cast<std::uint8_t>((seed >> (i % 8 * 8)) + i / 8);
    return octets;
  }
  std::span<std::uint8_t> in_model(std::uint64_t offset, std::uint64_t length) {
    return std::span(model_).subspan(offset, length);
  }
  status write(std::uint64_t offset, const std::vector<std::uint8_t>& content, bool fua = false) {
    test_request r(verb::write, offset, content.size(), scattered(content));
    r.fua = fua;
    std::copy(content.begin(), content.end(), model_.begin() + static_cast<std::ptrdiff_t>(offset));
    return run(r);
  }
  status zero(verb what, std::uint64_t offset, std::uint64_t length) {
    test_request r(what, offset, length);
    std::ranges::fill(in_model(offset, length), std::uint8_t{0});
    return run(r);
  }
  std::vector<std::uint8_t> read(std::uint64_t offset, std::uint64_t length) {
    test_request r(verb::read, offset, length, scattered(std::vector<std::uint8_t>(length, 0xee)));
    EXPECT_EQ(run(r), status::good);
    return r.content();
  }
  void expect_content(std::uint64_t offset, std::uint64_t length) {
    const auto expected = in_model(offset, length);
    ASSERT_TRUE(std::ranges::equal(read(offset, length), expected)) << "at " << offset << " + " << length;
  }
  void expect_map(std::uint64_t offset, std::uint64_t length, unsigned limit);
  void random_step();
  void random_compare_and_write(std::uint64_t offset, std::uint64_t length);

  std::unique_ptr<setup> setup_;
  std::shared_ptr<store> store_;
  std::unique_ptr<channel> channel_;
  std::uint64_t block_ = 512;
  std::vector<std::uint8_t> model_;
  std::mt19937_64 random_{20261101};
};

inline void store_contract::expect_map(std::uint64_t offset, std::uint64_t length, unsigned limit) {
  test_request r(verb::map, offset, length);
  r.extent_limit = limit;
  r.found.push_back({1, 1, true});
  ASSERT_EQ(run(r), status::good);
  ASSERT_FALSE(r.found.empty());
  ASSERT_LE(r.found.size(), limit);
  std::uint64_t at = offset;
  for (std::size_t i = 0; i < r.found.size(); ++i) {
    const extent& e = r.found[i];
    ASSERT_EQ(e.offset_bytes, at) << "a gap, or a start elsewhere than asked";
    ASSERT_GT(e.length_bytes, 0U);
    if (i > 0) {
      ASSERT_NE(e.mapped, r.found[i - 1].mapped) << "neighbours of one kind must be one extent";
    }
    at += e.length_bytes;
    ASSERT_LE(at, offset + length);
    const auto octets = in_model(e.offset_bytes, e.length_bytes);
    ASSERT_TRUE(e.mapped || std::ranges::all_of(octets, [](std::uint8_t o) { return o == 0; }));
  }
  ASSERT_TRUE(r.found.size() == limit || at == offset + length);
}

inline void store_contract::random_compare_and_write(std::uint64_t offset, std::uint64_t length) {
  std::vector<std::uint8_t> expected(in_model(offset, length).begin(), in_model(offset, length).end());
  const bool differ = random_() % 2 == 0;
  const std::uint64_t first_difference = random_() % length;
  if (differ) expected[first_difference] ^= 0x40;
  const auto replacement = random_bytes(length);
  payload both = scattered(expected);
  const auto compare_parts = static_cast<unsigned>(both.parts().size());
  both.append(scattered(replacement));
  test_request r(verb::compare_and_write, offset, length, std::move(both));
  r.parts_compare = compare_parts;
  r.fua = random_() % 2 == 0;
  ASSERT_EQ(run(r), differ ? status::miscompare : status::good);
  if (differ) {
    ASSERT_EQ(r.miscompare_offset, first_difference);
  } else {
    std::ranges::copy(replacement, in_model(offset, length).begin());
  }
}

inline void store_contract::random_step() {
  const std::uint64_t blocks = size / block_;
  const std::uint64_t first = random_() % blocks;
  const std::uint64_t most = std::min<std::uint64_t>(blocks - first, random_() % 4 == 0 ? 1200 : 40);
  const std::uint64_t offset = first * block_;
  const std::uint64_t length = (1 + random_() % most) * block_;
  switch (random_() % 8) {
    case 0:
    case 1:
      ASSERT_EQ(write(offset, random_bytes(length), random_() % 4 == 0), status::good);
      break;
    case 2:
      expect_content(offset, length);
      break;
    case 3:
      ASSERT_EQ(zero(verb::discard, offset, length), status::good);
      break;
    case 4:
      ASSERT_EQ(zero(verb::write_zeroes, offset, length), status::good);
      break;
    case 5: {
      const auto pattern = random_bytes(block_);
      test_request r(verb::write_same, offset, length, payload(random_, std::span(pattern).first(0)));
      const iovec part{const_cast<std::uint8_t*>(pattern.data()), pattern.size()};
      r.parts = &part;
      r.part_count = 1;
      for (std::uint64_t at = 0; at < length; at += block_)
        std::ranges::copy(pattern, in_model(offset + at, block_).begin());
      ASSERT_EQ(run(r), status::good);
      break;
    }
    case 6:
      random_compare_and_write(offset, std::min(length, 255 * block_));
      break;
    default:
      expect_map(offset, length, static_cast<unsigned>(1 + random_() % 8));
      break;
  }
}

TEST_P(store_contract, describes_itself) {
  const properties p = store_->describe();
  EXPECT_EQ(p.size_bytes, size);
  EXPECT_GE(p.logical_block, 512U);
  EXPECT_EQ(p.logical_block & (p.logical_block - 1), 0U);
  EXPECT_GE(p.physical_block, p.logical_block);
  EXPECT_FALSE(p.read_only);
  EXPECT_NE(std::string(store_->type()), "");
}

TEST_P(store_contract, what_was_never_written_reads_as_zeroes) {
  expect_content(0, size);
  expect_map(0, size, 100);
}

TEST_P(store_contract, agrees_with_a_model_under_random_requests) {
  for (int step = 0; step < 400; ++step) {
    random_step();
    if (HasFatalFailure()) FAIL() << "in step " << step;
  }
  expect_content(0, size);
  expect_map(0, size, 100000);
}

TEST_P(store_contract, many_requests_in_flight_keep_apart) {
  constexpr std::uint64_t lanes = 64;
  const std::uint64_t lane = size / lanes;
  for (int round = 0; round < 4; ++round) {
    std::vector<std::unique_ptr<test_request>> writes;
    std::vector<test_request*> all;
    for (std::uint64_t i = 0; i < lanes; ++i) {
      const auto content = random_bytes(lane - random_() % 8 * block_);
      std::ranges::copy(content, in_model(i * lane, content.size()).begin());
      writes.push_back(std::make_unique<test_request>(verb::write, i * lane, content.size(), scattered(content)));
      all.push_back(writes.back().get());
    }
    run(all);
    for (const auto& r : writes) ASSERT_EQ(r->outcome, status::good);
    std::vector<std::unique_ptr<test_request>> reads;
    all.clear();
    for (std::uint64_t i = 0; i < lanes; ++i) {
      const std::vector<std::uint8_t> blank(lane, 0xee);
      reads.push_back(std::make_unique<test_request>(verb::read, i * lane, lane, scattered(blank)));
      all.push_back(reads.back().get());
    }
    run(all);
    for (std::uint64_t i = 0; i < lanes; ++i) {
      ASSERT_EQ(reads[i]->outcome, status::good);
      ASSERT_TRUE(std::ranges::equal(reads[i]->content(), in_model(i * lane, lane))) << "lane " << i;
    }
  }
}

TEST_P(store_contract, scatter_lists_may_have_more_parts_than_a_system_call_takes) {
  const auto content = random_bytes(192 * 4096);
  std::vector<std::uint8_t> memory = content;
  std::vector<iovec> parts;
  for (std::uint64_t at = 0; at < memory.size(); at += 256) parts.push_back({memory.data() + at, 256});
  test_request w(verb::write, block_, memory.size());
  w.parts = parts.data();
  w.part_count = static_cast<unsigned>(parts.size());
  ASSERT_EQ(run(w), status::good);
  std::ranges::fill(memory, std::uint8_t{0});
  test_request r(verb::read, block_, memory.size());
  r.parts = parts.data();
  r.part_count = static_cast<unsigned>(parts.size());
  ASSERT_EQ(run(r), status::good);
  EXPECT_EQ(memory, content);
}

TEST_P(store_contract, a_miscompare_writes_nothing_and_names_the_first_difference) {
  ASSERT_EQ(write(0, random_bytes(8 * block_)), status::good);
  for (const std::uint64_t where : {std::uint64_t{0}, block_ - 1, block_, 8 * block_ - 1}) {
    std::vector<std::uint8_t> expected(model_.begin(), model_.begin() + static_cast<std::ptrdiff_t>(8 * block_));
    for (std::uint64_t i = where; i < expected.size(); ++i) expected[i] ^= 1;
    payload both = scattered(expected);
    const auto compare_parts = static_cast<unsigned>(both.parts().size());
    both.append(scattered(random_bytes(8 * block_)));
    test_request r(verb::compare_and_write, 0, 8 * block_, std::move(both));
    r.parts_compare = compare_parts;
    EXPECT_EQ(run(r), status::miscompare);
    EXPECT_EQ(r.miscompare_offset, where);
    expect_content(0, 16 * block_);
  }
}

TEST_P(store_contract, durability_verbs_succeed_and_keep_the_data) {
  test_request empty_flush(verb::flush, 0, 0);
  EXPECT_EQ(run(empty_flush), status::good);
  EXPECT_EQ(write(0, random_bytes(4 * block_), true), status::good);
  for (const verb what : {verb::discard, verb::write_zeroes}) {
    test_request r(what, block_, block_);
    r.fua = true;
    std::ranges::fill(in_model(block_, block_), std::uint8_t{0});
    EXPECT_EQ(run(r), status::good);
  }
  test_request flush(verb::flush, 0, 0);
  EXPECT_EQ(run(flush), status::good);
  expect_content(0, 8 * block_);
}

TEST_P(store_contract, a_discard_of_everything_leaves_a_hole_where_the_store_can_tell) {
  ASSERT_EQ(write(0, random_bytes(size)), status::good);
  if (store_->describe().maps) {
    test_request full(verb::map, 0, size);
    ASSERT_EQ(run(full), status::good);
    ASSERT_EQ(full.found.size(), 1U);
    EXPECT_TRUE(full.found[0].mapped);
  }
  ASSERT_EQ(zero(verb::discard, 0, size), status::good);
  expect_content(0, size);
  const properties p = store_->describe();
  if (!p.maps || !p.discards) return;
  test_request hole(verb::map, 0, size);
  ASSERT_EQ(run(hole), status::good);
  ASSERT_EQ(hole.found.size(), 1U);
  EXPECT_FALSE(hole.found[0].mapped);
  EXPECT_EQ(hole.found[0].length_bytes, size);
}

TEST_P(store_contract, requests_that_ask_for_nothing_are_answered) {
  test_request write_nothing(verb::write, 0, 0);
  test_request discard_nothing(verb::discard, size, 0);
  test_request map_nothing(verb::map, 0, size);
  map_nothing.extent_limit = 0;
  run({&write_nothing, &discard_nothing, &map_nothing});
  EXPECT_EQ(write_nothing.outcome, status::good);
  EXPECT_EQ(discard_nothing.outcome, status::good);
  EXPECT_EQ(map_nothing.outcome, status::good);
  EXPECT_TRUE(map_nothing.found.empty());
}

TEST_P(store_contract, what_is_done_on_the_spot_or_borrowed_is_the_same_data) {
  ASSERT_EQ(write(0, random_bytes(64 * kib)), status::good);
  inside([this] {
    test_request r(verb::read, block_, 16 * kib, payload(random_, std::vector<std::uint8_t>(16 * kib, 0xee)));
    status outcome = status::gone;
    if (channel_->try_now(r, outcome)) {
      EXPECT_EQ(outcome, status::good);
      EXPECT_EQ(r.completions, 0);
      EXPECT_TRUE(std::ranges::equal(r.content(), in_model(block_, 16 * kib)));
    }
    std::vector<memory::slice> lent;
    if (!channel_->borrow(block_, 16 * kib, lent)) return;
    std::vector<std::uint8_t> seen;
    for (const memory::slice& s : lent) seen.insert(seen.end(), s.data(), s.data() + s.size());
    EXPECT_TRUE(std::ranges::equal(seen, in_model(block_, 16 * kib)));
  });
}

TEST_P(store_contract, growth_adds_zeroes_and_tells_the_listeners) {
  if (!GetParam().resizes) {
    const auto refused = store_->resize(2 * size);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::unsupported);
    return;
  }
  std::vector<std::uint64_t> sizes;
  store_->on_change([&] { sizes.push_back(store_->describe().size_bytes); });
  ASSERT_EQ(write(0, random_bytes(size)), status::good);
  if (!GetParam().shrinks) {
    ASSERT_TRUE(store_->resize(2 * size));
    model_.resize(2 * size, 0);
    const auto refused = store_->resize(size);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, errc::unsupported);
    EXPECT_EQ(sizes, (std::vector<std::uint64_t>{2 * size}));
    return expect_content(0, 2 * size);
  }
  for (const std::uint64_t next : {2 * size, size / 2, size}) {
    const auto resized = store_->resize(next);
    ASSERT_TRUE(resized) << resized.error().message;
    model_.resize(next, 0);
  }
  EXPECT_EQ(sizes, (std::vector<std::uint64_t>{2 * size, size / 2, size}));
  expect_content(0, size);
  ASSERT_EQ(write(size - block_, random_bytes(block_)), status::good);
  expect_content(size - 2 * block_, 2 * block_);
}

}  // namespace sluice::store::contract
