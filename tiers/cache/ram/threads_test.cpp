#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <thread>

#include "tiers/cache/ram/ram_shard.hpp"

/// Threads for real against the part of a shard that has no locks; the thread sanitizer watches where it is on.
namespace sluice::cache {
namespace {

/// Blocks of a store below. Each is written by one thread at a time, in growing numbers; a block's words all hold its
/// number. `written` is what the last write that ended left.
struct block_below {
  std::atomic<std::uint64_t> value = 0;
  std::atomic<std::uint64_t> written = 0;
};

class shard_under_fire {
 public:
  static constexpr unsigned blocks = 48;
  static constexpr unsigned frames = 24;

  /// The owner: reads below and keeps, evicts, and now and then drops everything.
  void be_owner(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::uint64_t> content(block_bytes / 8);
    while (!over_) {
      const block_number block = random() % blocks;
      const std::uint64_t fill_version = ram_index::fill_version(shard_.index().set_of(place(block)));
      const std::uint64_t value = below_[block].value.load();
      std::fill(content.begin(), content.end(), value);
      if (random() % 4 == 0) std::this_thread::yield();
      if (shard_.put(block, fill_version, reinterpret_cast<const std::uint8_t*>(content.data()),
                     ram_shard::keep::always, memory_))
        ++kept_;
      if (random() % 5000 == 0) shard_.drop_all(memory_);
    }
    shard_.drop_all(memory_);
  }

  /// Any core: writes below, in the order that the cache asks for.
  void be_writer(unsigned which, unsigned writers, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (std::uint64_t i = 1; i <= 4'000 || (!is_enough() && std::chrono::steady_clock::now() < limit); ++i) {
      const block_number block = random() % (blocks / writers) * writers + which;
      const ram_index& index = shard_.index();
      index_set& set = index.set_of(place(block));
      index.begin_write(set, block);
      const std::uint64_t next = below_[block].value.load() + 1;
      below_[block].value.store(next);
      ram_index::end_write(set);
      below_[block].written.store(next);
      if (random() % 8 == 0) std::this_thread::yield();
    }
    if (--writers_left_ == 0) over_ = true;
  }

  /// Any core: what is found must not be older than what had been written before it was looked for.
  void be_reader(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<std::uint64_t> content(block_bytes / 8);
    std::vector<std::uint64_t> seen(blocks);
    while (!over_) {
      const block_number block = random() % blocks;
      const ram_index& index = shard_.index();
      const std::uint64_t least = std::max(below_[block].written.load(), seen[block]);
      const slot s = index.find_valid(index.set_of(place(block)), block);
      if (s == no_slot) continue;
      const std::uint64_t version = index.open(s, block);
      if (version == 0) continue;
      const std::uint64_t cut = random() % block_bytes;
      auto* octets = reinterpret_cast<std::uint8_t*>(content.data());
      index.copy(s, 0, octets, cut, false);
      index.copy(s, cut, octets + cut, block_bytes - cut, false);
      if (!index.still(s, version)) continue;
      shard_.hit(s);
      ++hits_;
      for (const std::uint64_t word : content)
        if (word != content[0] || word < least) ++wrong_;
      seen[block] = content[0];
    }
  }

  /// On a busy machine the writers would be through before the others get a turn.
  bool is_enough() const { return kept_ > 100 && hits_ > 100; }

  std::atomic<std::uint64_t> kept_ = 0, hits_ = 0, wrong_ = 0;
  std::atomic<unsigned> writers_left_ = 2;

 private:
  frame_memory memory_{64 * mib};
  ram_shard shard_{frames};
  std::array<block_below, blocks> below_;
  std::atomic<bool> over_ = false;
};

TEST(threads, readers_and_writers_of_any_core_need_no_lock) {
  for (std::uint64_t round = 0; round < 2; ++round) {
    shard_under_fire fire;
    std::vector<std::thread> all;
    all.emplace_back([&] { fire.be_owner(round); });
    for (unsigned i = 0; i < 2; ++i) all.emplace_back([&fire, i, round] { fire.be_writer(i, 2, round * 10 + i); });
    for (unsigned i = 0; i < 2; ++i) all.emplace_back([&fire, i, round] { fire.be_reader(round * 20 + i); });
    for (std::thread& each : all) each.join();
    EXPECT_EQ(fire.wrong_, 0U);
    EXPECT_GT(fire.kept_, 100U);
    EXPECT_GT(fire.hits_, 100U);
  }
}

}  // namespace
}  // namespace sluice::cache
