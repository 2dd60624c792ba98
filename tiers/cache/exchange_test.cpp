#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <random>
#include <thread>

#include "tiers/cache/cache_store.hpp"

/// Tiers that change under loops with threads of their own; the thread sanitizer watches where it is on.
namespace sluice::cache {
namespace {

using sluice::store::status;
using sluice::store::verb;

constexpr unsigned cores = 2;
constexpr std::uint64_t blocks = 256;

/// What the last write that ended left in each block, all words of which are alike. A block is written by one core.
std::array<std::atomic<std::uint64_t>, blocks> written;

/// Memory whose words many threads may read and write.
class shared_words final : public store::store {
 public:
  const char* type() const noexcept override { return "words"; }
  sluice::store::properties describe() const override {
    sluice::store::properties about;
    about.size_bytes = blocks * block_bytes;
    return about;
  }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override {
    return std::make_unique<test_channel>(words_, loop);
  }
  result<void> resize(std::uint64_t) override { return fail(errc::unsupported, "of one size"); }

 private:
  using words = std::vector<std::atomic<std::uint64_t>>;
  class test_channel final : public sluice::store::channel {
   public:
    test_channel(words& of, reactor::loop& loop) : words_(of), loop_(loop) {}
    void submit(sluice::store::request& r) noexcept override {
      loop_.post([this, &r] {
        status outcome = status::gone;
        try_now(r, outcome);
        r.done(outcome);
      });
    }
    bool try_now(sluice::store::request& r, status& outcome) noexcept override {
      auto* octets = static_cast<std::uint8_t*>(r.parts[0].iov_base);
      for (std::uint64_t at = 0; at < r.length_bytes; at += 8) {
        std::atomic<std::uint64_t>& word = words_[(r.offset_bytes + at) / 8];
        std::uint64_t value = word;
        if (r.what == verb::write) std::memcpy(&value, octets + at, 8);
        if (r.what == verb::write) word = value;
        std::memcpy(octets + at, &value, 8);
      }
      outcome = status::good;
      return true;
    }

   private:
    words& words_;
    reactor::loop& loop_;
  };
  words words_ = words(blocks * block_bytes / 8);
};

class spot_request final : public store::request {
 public:
  spot_request(verb how, block_number block, std::uint8_t* memory) : part_{memory, block_bytes} {
    what = how;
    offset_bytes = block * block_bytes;
    length_bytes = block_bytes;
    parts = &part_;
    part_count = 1;
  }
  void done(status) noexcept override {}

 private:
  iovec part_;
};

/// One core: reads and writes without end.
class worker final : public reactor::runnable {
 public:
  worker(unsigned index, store::store& cache) : index_(index), cache_(cache), random_(index) {
    loop_ = *reactor::make_loop({.index = index});
    thread_ = std::thread([this] { loop_->run(); });
    on_loop([this] {
      channel_ = cache_.attach(*loop_);
      loop_->defer(*this);
    });
  }
  ~worker() {
    loop_->stop();
    thread_.join();
  }
  /// Takes the channel away. Loops must outlive all channels: others may be about to send something to this one.
  void leave() {
    over_ = true;
    while (channel_here_) {
      on_loop([this] {
        if (queued_ || !channel_->idle()) return;
        channel_.reset();
        channel_here_ = false;
      });
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void run() noexcept override {
    for (int i = 0; i < 32; ++i) random_() % 4 == 0 ? write() : read();
    if (!over_) loop_->defer(*this);
  }

  std::atomic<std::uint64_t> reads = 0, wrong = 0;

 private:
  void on_loop(const std::function<void()>& work) {
    std::promise<void> ran;
    loop_->post([&] {
      work();
      ran.set_value();
    });
    ran.get_future().wait();
  }
  void write() {
    const block_number block = random_() % (blocks / cores) * cores + index_;
    const std::uint64_t next = written[block] + 1;
    words_.fill(next);
    spot_request r(verb::write, block, reinterpret_cast<std::uint8_t*>(words_.data()));
    status outcome = status::gone;
    if (!channel_->try_now(r, outcome) || outcome != status::good) return void(++wrong);
    written[block] = next;
  }
  void read() {
    const block_number block = random_() % blocks;
    const std::uint64_t least = written[block];
    if (std::vector<memory::slice> lent;
        random_() % 2 == 0 && channel_->borrow(block * block_bytes, block_bytes, lent)) {
      std::memcpy(words_.data(), lent[0].data(), block_bytes);
    } else {
      spot_request r(verb::read, block, reinterpret_cast<std::uint8_t*>(words_.data()));
      status outcome = status::gone;
      if (!channel_->try_now(r, outcome) || outcome != status::good) return void(++wrong);
    }
    ++reads;
    // A block that is being written may be read in part, but no word of it is older than what had been written before.
    for (const std::uint64_t word : words_)
      if (word < least) return void(++wrong);
  }

  const unsigned index_;
  store::store& cache_;
  std::mt19937_64 random_;
  std::unique_ptr<reactor::loop> loop_;
  std::thread thread_;
  std::unique_ptr<store::channel> channel_;
  bool channel_here_ = true;
  std::atomic<bool> over_ = false;
  std::array<std::uint64_t, block_bytes / 8> words_;
};

TEST(threads, tiers_change_under_the_requests_of_several_cores) {
  for (auto& each : written) each = 0;
  const auto memory = std::make_shared<shared_words>();
  options wanted;
  wanted.bypass_bytes = 0;
  const auto cache = *cache_store::open(memory, wanted);
  std::mt19937_64 random(1);
  unsigned changed = 0;
  std::uint64_t reads = 0, wrong = 0;
  {
    std::vector<std::unique_ptr<worker>> all;
    for (unsigned i = 0; i < cores; ++i) all.push_back(std::make_unique<worker>(i, *cache));
    for (int i = 0; i < 300; ++i) {
      wanted.ram_bytes = (1 + random() % 4) * 256 * kib;
      wanted.mode = modes()[random() % modes().size()];
      wanted.pins = random() % 2 == 0 ? pin_set() : pin_set({{random() % blocks, blocks}});
      if (const auto change = cache->prepare(wanted, random() % 4 == 0)) {
        (*change)();
        ++changed;
      }
      if (i % 50 == 49) cache->hand_over();
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 3));
      cache->take_over();
      cache->figures();
    }
    for (const auto& each : all) each->leave();
    for (const auto& each : all) {
      reads += each->reads;
      wrong += each->wrong;
    }
  }
  EXPECT_EQ(wrong, 0U);
  EXPECT_GT(changed, 30U);
  EXPECT_GT(reads, 1000U);
}

}  // namespace
}  // namespace sluice::cache
