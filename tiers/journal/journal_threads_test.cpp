#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <thread>

#include "tiers/journal/test_setup.hpp"
#include "tiers/ram/ram_store.hpp"
#include "tiers/store/contract_setup.hpp"

/// Loops with threads for real; the thread sanitizer watches where it is on.
namespace sluice::journal {
namespace {

using store::status;
using store::verb;

constexpr std::size_t blocks = 64;
constexpr unsigned loops = 3;
constexpr std::uint64_t requests_each = 3000;

/// What writers of blocks have been told: each block is written by one loop, in growing numbers.
struct board {
  std::array<std::atomic<std::uint64_t>, blocks> written{};
  std::atomic<std::uint64_t> wrong = 0;
  std::atomic<unsigned> left = loops;
};

class worker {
 public:
  worker(unsigned number, board& shared) : number_(number), board_(shared), random_(number + 1) {
    loop_ = std::move(*reactor::make_loop({.index = number, .buffer_bytes = 32 * mib}));
    for (lane& each : lanes_) each.of = this;
  }
  reactor::loop& loop() { return *loop_; }
  void begin(store::store& tier) {
    loop_->post([this, &tier] {
      channel_ = tier.attach(*loop_);
      for (lane& each : lanes_) next(each);
    });
    thread_ = std::thread([this] {
      loop_->run();
      // What is still in line for the loop has its turn.
      loop_->stop();
      loop_->run();
    });
  }
  void end() { thread_.join(); }

 private:
  struct lane final : store::request {
    void done(status outcome) noexcept override { of->ended(*this, outcome); }
    worker* of = nullptr;
    std::array<std::uint64_t, block_bytes / 8> content{};
    iovec part{};
    std::uint64_t block = 0;
    std::uint64_t least = 0;
  };

  void next(lane& l) {
    if (started_ == requests_each) return;
    ++started_;
    ++in_flight_;
    l.part = {l.content.data(), block_bytes};
    l.parts = &l.part;
    l.part_count = 1;
    l.length_bytes = block_bytes;
    l.what = random_() % 2 == 0 ? verb::write : random_() % 50 == 0 ? verb::flush : verb::read;
    l.block = random_() % blocks;
    if (l.what == verb::write) {
      // A block of this loop's that no other lane writes.
      const auto lane_number = static_cast<std::uint64_t>(&l - lanes_.data());
      l.block = (random_() % (blocks / loops / lanes_.size()) * lanes_.size() + lane_number) * loops + number_;
      l.content.fill(board_.written[l.block].load() + 1);
    }
    if (l.what == verb::flush) l.length_bytes = 0;
    l.least = board_.written[l.block].load();
    l.offset_bytes = l.what == verb::flush ? 0 : l.block * block_bytes;
    channel_->submit(l);
  }
  void ended(lane& l, status outcome) {
    --in_flight_;
    if (outcome != status::good) ++board_.wrong;
    if (l.what == verb::write) board_.written[l.block].store(l.content[0]);
    if (l.what == verb::read)
      for (const std::uint64_t word : l.content)
        if (word != l.content[0] || word < l.least) ++board_.wrong;
    next(l);
    if (in_flight_ == 0 && started_ == requests_each) --board_.left;
    if (in_flight_ == 0 && started_ == requests_each) leave();
  }
  /// Some loops leave early, the owner's among them.
  void leave() {
    loop_->post([this] {
      if (!channel_->idle()) return leave();
      channel_.reset();
      loop_->stop();
    });
  }

  unsigned number_;
  board& board_;
  std::mt19937_64 random_;
  std::unique_ptr<reactor::loop> loop_;
  std::unique_ptr<store::channel> channel_;
  std::array<lane, 4> lanes_;
  std::uint64_t started_ = 0;
  unsigned in_flight_ = 0;
  std::thread thread_;
};

TEST(journal_threads, loops_share_a_journal) {
  const store::contract::temporary_folder folder;
  board shared;
  std::array<std::unique_ptr<worker>, loops> workers;
  for (unsigned i = 0; i < loops; ++i) workers[i] = std::make_unique<worker>(i, shared);
  auto tier = test_over(*ram::ram_store::make(blocks * block_bytes), workers[0]->loop(), folder / "flash",
                        (superblock_copies + 16 * 16) * block_bytes, 16);
  ASSERT_TRUE(tier);
  for (auto& each : workers) each->begin(*tier);
  for (auto& each : workers) each->end();
  EXPECT_EQ(shared.wrong, 0U);
  EXPECT_EQ(shared.left, 0U);
  EXPECT_GT(tier->core().figures.epochs.load(), 0U);
  tier.reset();
}

}  // namespace
}  // namespace sluice::journal
