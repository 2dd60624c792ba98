#include "tiers/cache/cache_channel.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <random>

#include "config/schema/values.hpp"
#include "tiers/cache/register.hpp"
#include "tiers/cache/test_setup.hpp"
#include "tiers/fault/fault_store.hpp"
#include "tiers/file/file_store.hpp"
#include "tiers/ram/ram_store.hpp"
#include "tiers/store/contract_simulated.hpp"

namespace sluice::cache {
namespace {

using sluice::store::request;
using sluice::store::status;
using sluice::store::verb;
using sluice::store::contract::payload;
using sluice::store::contract::simulated_world;
using sluice::store::contract::test_request;
using testing::HasSubstr;

/// A store in memory that does everything at once, or the next request only when it is answered, and answers when the
/// test says so, in the order it likes.
class late_store final : public sluice::store::store {
 public:
  explicit late_store(std::uint64_t size) : memory_(*ram::ram_store::make(size)) {}
  const char* type() const noexcept override { return "late"; }
  sluice::store::properties describe() const override { return memory_->describe(); }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override {
    return std::make_unique<test_channel>(*this, memory_->attach(loop));
  }
  result<void> resize(std::uint64_t size_bytes) override { return memory_->resize(size_bytes); }

  struct held {
    request* of;
    status outcome;
    sluice::store::channel* acts;  // null: it has been done
  };
  std::deque<held> waiting;
  unsigned reads = 0;
  status next_outcome = status::good;
  bool next_acts_late = false;

  void answer(std::size_t which) {
    held one = waiting.at(which);
    waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(which));
    const bool acted = !one.acts || one.acts->try_now(*one.of, one.outcome);
    EXPECT_TRUE(acted);
    one.of->done(one.outcome);
  }

 private:
  class test_channel final : public sluice::store::channel {
   public:
    test_channel(late_store& owner, std::unique_ptr<sluice::store::channel> memory)
        : owner_(owner), memory_(std::move(memory)) {}
    void submit(request& r) noexcept override {
      if (r.what == verb::read) ++owner_.reads;
      status outcome = std::exchange(owner_.next_outcome, status::good);
      const bool late = std::exchange(owner_.next_acts_late, false);
      const bool acted = late || outcome != status::good || memory_->try_now(r, outcome);
      EXPECT_TRUE(acted);
      owner_.waiting.push_back({&r, outcome, late ? memory_.get() : nullptr});
    }

   private:
    late_store& owner_;
    std::unique_ptr<sluice::store::channel> memory_;
  };
  std::shared_ptr<ram::ram_store> memory_;
};

class cache_channel_test : public testing::Test {
 protected:
  static constexpr std::uint64_t size = 1 * mib;
  void open(const mode& how = write_through, std::uint64_t bypass = 0) {
    below_ = std::make_shared<late_store>(size);
    store_ = test_over(below_, how, 16 * mib, bypass);  // room for all, however the shards are hit
    channel_ = store_->attach(world_.loop());
  }
  ~cache_channel_test() override { channel_.reset(); }

  std::unique_ptr<test_request> start(verb what, std::uint64_t offset, std::uint64_t length, std::uint8_t octet = 0) {
    auto r = std::make_unique<test_request>(what, offset, length,
                                            payload(random_, std::vector<std::uint8_t>(length, octet)));
    channel_->submit(*r);
    return r;
  }
  std::vector<std::uint8_t> read(std::uint64_t offset, std::uint64_t length) {
    auto r = start(verb::read, offset, length, 0xee);
    while (!below_->waiting.empty()) below_->answer(0);
    world_.sim().run_for(ns_per_ms);
    EXPECT_EQ(r->completions, 1);
    EXPECT_EQ(r->outcome, status::good);
    return r->content();
  }
  /// Other RAM, while requests are under way.
  void change_tiers() {
    auto& cache = static_cast<cache_store&>(*store_);
    options wanted;
    wanted.ram_bytes = 8 * mib;
    wanted.bypass_bytes = 0;
    const auto change = cache.prepare(wanted);
    ASSERT_TRUE(change);
    (*change)();
    world_.sim().run_for(5 * ns_per_ms);
  }
  bool hits(std::uint64_t offset, std::uint64_t length) {
    test_request r(verb::read, offset, length, payload(random_, std::vector<std::uint8_t>(length)));
    status outcome;
    return channel_->try_now(r, outcome);
  }

  simulated_world world_{1};
  std::mt19937_64 random_{1};
  std::shared_ptr<late_store> below_;
  std::shared_ptr<sluice::store::store> store_;
  std::unique_ptr<sluice::store::channel> channel_;
};

TEST_F(cache_channel_test, nothing_is_kept_of_what_began_beside_a_write_of_the_tiers_before) {
  for (const verb what : {verb::read, verb::write}) {
    open();
    below_->next_acts_late = true;
    const auto before = start(verb::write, 0, 4096, 9);
    change_tiers();
    const auto beside = start(what, 0, 4096, 5);
    below_->answer(0);                    // the write of the old tiers has its effect last
    world_.sim().run_for(5 * ns_per_ms);  // the new ones are alone, and keep what they see from now on
    EXPECT_EQ(before->completions, 1);
    below_->answer(0);
    EXPECT_EQ(beside->completions, 1);
    EXPECT_THAT(read(0, 4096), testing::Each(9));
    EXPECT_TRUE(hits(0, 4096));
  }
}

TEST_F(cache_channel_test, what_began_while_nothing_was_kept_is_not_kept_when_it_ends_later) {
  for (const verb what : {verb::read, verb::write}) {
    open();
    const auto foreign = below_->attach(world_.loop());
    store_->hand_over();
    const auto early = start(what, 0, 4096, 7);
    test_request other(verb::write, 0, 4096, payload(random_, std::vector<std::uint8_t>(4096, 8)));
    foreign->submit(other);
    below_->answer(1);
    store_->take_over();
    below_->answer(0);
    EXPECT_EQ(early->completions, 1);
    EXPECT_THAT(read(0, 4096), testing::Each(8));
    EXPECT_TRUE(hits(0, 4096));
    channel_.reset();
  }
}

TEST_F(cache_channel_test, what_is_announced_need_not_come_and_need_not_be_there) {
  open();
  channel_->will_read(0);
  read(0, 8192);
  for (std::uint64_t i = 0; i < 1000; ++i) channel_->will_read(random_());
  for (std::uint64_t i = 0; i < 1000; ++i) {
    if (i % 3 != 0) channel_->will_read(i % 2 * 4096);
    std::vector<memory::slice> lent;
    ASSERT_TRUE(channel_->borrow(i % 2 * 4096, 4096, lent));
    EXPECT_THAT(std::vector(lent[0].data(), lent[0].data() + 4), testing::Each(0));
  }
  EXPECT_EQ(below_->reads, 1U);
  EXPECT_EQ(figure_of(*store_, "ram_hit_blocks"), 2000 / 2);
}

TEST_F(cache_channel_test, a_block_that_was_read_or_written_is_read_from_ram) {
  open();
  read(0, 8192);
  EXPECT_EQ(below_->reads, 1U);
  read(4096, 4096);
  EXPECT_EQ(below_->reads, 1U);
  auto w = start(verb::write, 8192, 4096, 7);
  below_->answer(0);
  EXPECT_EQ(w->outcome, status::good);
  EXPECT_THAT(read(8192, 4096), testing::Each(7));
  EXPECT_EQ(below_->reads, 1U);
  EXPECT_EQ(figure_of(*store_, "ram_hit_blocks"), 2);
  EXPECT_EQ(figure_of(*store_, "ram_used_bytes"), 3 * 4096);
}

TEST_F(cache_channel_test, write_around_forgets_what_is_written) {
  open(write_around);
  read(0, 4096);
  EXPECT_TRUE(hits(0, 4096));
  auto w = start(verb::write, 0, 4096, 7);
  EXPECT_FALSE(hits(0, 4096));
  below_->answer(0);
  EXPECT_FALSE(hits(0, 4096));
  EXPECT_THAT(read(0, 4096), testing::Each(7));
  EXPECT_TRUE(hits(0, 4096));
}

TEST_F(cache_channel_test, parts_of_blocks_are_read_whole_so_that_they_can_be_kept) {
  open();
  read(4096 + 512, 512);
  EXPECT_TRUE(hits(4096, 4096));
  EXPECT_FALSE(hits(0, 512));
  EXPECT_FALSE(hits(8192, 512));
  read(size - 512, 512);
  EXPECT_TRUE(hits(size - 4096, 4096));
}

TEST_F(cache_channel_test, nothing_is_read_from_ram_while_it_is_being_written) {
  open();
  read(0, 4096);
  auto w = start(verb::write, 512, 512, 9);
  EXPECT_FALSE(hits(0, 4096));
  auto r = start(verb::read, 0, 4096);
  below_->answer(1);
  EXPECT_FALSE(hits(0, 4096)) << "what was read while a write was under way is not kept";
  below_->answer(0);
  EXPECT_FALSE(hits(0, 4096));
  read(0, 4096);
  EXPECT_TRUE(hits(0, 4096));
}

TEST_F(cache_channel_test, what_was_read_before_a_write_is_not_kept_after_it) {
  open();
  auto r = start(verb::read, 0, 4096);
  auto w = start(verb::write, 0, 4096, 9);
  below_->answer(1);
  below_->answer(0);
  EXPECT_EQ(r->content()[0], 0);
  EXPECT_THAT(read(0, 4096), testing::Each(9));
}

TEST_F(cache_channel_test, of_writes_that_overlap_none_is_kept) {
  open();
  for (const bool first_answers_last : {false, true}) {
    auto a = start(verb::write, 0, 8192, 1);
    auto b = start(verb::write, 4096, 8192, 2);
    below_->answer(first_answers_last ? 1 : 0);
    below_->answer(0);
    EXPECT_TRUE(hits(0, 4096));
    EXPECT_TRUE(hits(8192, 4096));
    EXPECT_FALSE(hits(4096, 4096)) << "nobody knows which of them the store below holds";
    EXPECT_THAT(read(4096, 4096), testing::Each(2));
  }
}

TEST_F(cache_channel_test, a_write_that_failed_is_read_below) {
  open();
  read(0, 4096);
  below_->next_outcome = status::medium_error;
  auto w = start(verb::write, 0, 4096, 9);
  below_->answer(0);
  EXPECT_EQ(w->outcome, status::medium_error);
  EXPECT_FALSE(hits(0, 4096));
  EXPECT_THAT(read(0, 4096), testing::Each(0));
}

TEST_F(cache_channel_test, every_verb_that_changes_the_medium_voids_what_is_kept) {
  open();
  for (const verb what : {verb::discard, verb::write_zeroes, verb::write_same, verb::compare_and_write}) {
    auto fill = start(verb::write, 0, 16384, 5);
    below_->answer(0);
    ASSERT_TRUE(hits(0, 16384));
    std::vector<std::uint8_t> pattern(512, 8), same(4096, 5), other(4096, 8);
    iovec parts[] = {{same.data(), 4096}, {other.data(), 4096}};
    test_request r(what, 4096, 4096);
    if (what == verb::write_same) parts[0] = {pattern.data(), 512};
    r.parts = parts;
    r.part_count = what == verb::write_same ? 1 : what == verb::compare_and_write ? 2 : 0;
    r.parts_compare = what == verb::compare_and_write ? 1 : 0;
    channel_->submit(r);
    EXPECT_FALSE(hits(4096, 512));
    below_->answer(0);
    EXPECT_EQ(r.outcome, status::good);
    EXPECT_THAT(read(4096, 4096), testing::Each(r.part_count == 0 ? 0 : 8));
    EXPECT_TRUE(hits(0, 4096)) << "the neighbours stay";
    EXPECT_TRUE(hits(8192, 8192));
  }
}

TEST_F(cache_channel_test, a_discard_of_everything_voids_everything_in_turns) {
  open();
  read(0, size);
  auto d = start(verb::discard, 0, size);
  for (int turn = 0; turn < 1000 && below_->waiting.empty(); ++turn) world_.sim().run_for(ns_per_ms);
  EXPECT_FALSE(hits(0, 4096));
  below_->answer(0);
  world_.sim().run_for(ns_per_ms);
  EXPECT_EQ(d->completions, 1);
  EXPECT_EQ(d->outcome, status::good);
}

TEST_F(cache_channel_test, streams_pass_by) {
  open(write_through, 64 * kib);
  for (std::uint64_t at = 0; at < 256 * kib; at += 16 * kib) read(at, 16 * kib);
  EXPECT_TRUE(hits(0, 64 * kib));
  EXPECT_FALSE(hits(128 * kib, 4096));
  EXPECT_EQ(figure_of(*store_, "streamed_blocks"), 48);
  for (std::uint64_t at = 512 * kib; at < 768 * kib; at += 16 * kib) {
    auto w = start(verb::write, at, 16 * kib, 3);
    below_->answer(0);
  }
  EXPECT_TRUE(hits(512 * kib, 64 * kib));
  EXPECT_FALSE(hits(640 * kib, 4096));
}

TEST_F(cache_channel_test, an_edge_that_nobody_asked_for_may_be_unreadable) {
  open();
  below_->next_outcome = status::medium_error;
  auto r = start(verb::read, 512, 512);
  below_->answer(0);
  ASSERT_EQ(below_->waiting.size(), 1U) << "once more, without the edges";
  below_->answer(0);
  EXPECT_EQ(r->outcome, status::good);
  EXPECT_FALSE(hits(512, 512));
}

TEST_F(cache_channel_test, what_is_lent_stays_as_it_is) {
  open();
  auto first = start(verb::write, 0, 4096, 1);
  below_->answer(0);
  std::vector<memory::slice> lent;
  ASSERT_TRUE(channel_->borrow(512, 1024, lent));
  ASSERT_EQ(lent.size(), 1U);
  EXPECT_FALSE(channel_->borrow(0, 8192, lent)) << "one block is not there";
  EXPECT_EQ(lent.size(), 1U);
  auto second = start(verb::write, 0, 4096, 2);
  below_->answer(0);
  EXPECT_THAT(read(0, 4096), testing::Each(2));
  EXPECT_THAT(lent[0].span(), testing::Each(1));
  channel_.reset();
  store_.reset();
  EXPECT_THAT(lent[0].span(), testing::Each(1)) << "even when the store is gone";
  lent.clear();
  world_.sim().run_for(ns_per_s);
}

TEST_F(cache_channel_test, the_end_of_a_store_of_odd_size_is_never_kept) {
  below_ = std::make_shared<late_store>(64 * kib + 512);
  store_ = test_over(below_, write_through, 1 * mib);
  channel_ = store_->attach(world_.loop());
  read(64 * kib, 512);
  EXPECT_FALSE(hits(64 * kib, 512));
  read(60 * kib, 4096 + 512);
  EXPECT_TRUE(hits(60 * kib, 4096));
}

TEST_F(cache_channel_test, a_shrink_forgets_what_it_cuts_off) {
  open();
  for (std::uint64_t at = 0; at < size; at += 64 * kib) {
    auto w = start(verb::write, at, 64 * kib, 5);
    below_->answer(0);
  }
  ASSERT_TRUE(hits(512 * kib, 4096));
  ASSERT_TRUE(store_->resize(512 * kib + 512));
  ASSERT_TRUE(store_->resize(size));
  EXPECT_FALSE(hits(512 * kib, 512));
  EXPECT_FALSE(hits(size - 4096, 4096));
  EXPECT_TRUE(hits(0, 4096));
  auto r = read(512 * kib, 4096);
  EXPECT_EQ(r[0], 5);
  EXPECT_EQ(r[512], 0);
}

TEST(cache_store, refuses_what_it_cannot_serve) {
  const auto below = *ram::ram_store::make(1 * mib);
  options wanted;
  wanted.ram_bytes = 4096;
  const auto small = cache_store::open(below, wanted);
  ASSERT_FALSE(small);
  EXPECT_THAT(small.error().message, HasSubstr("ram: must be at least"));
}

TEST(cache_store, registers_its_keys) {
  sluice::store::registry all;
  register_store(all);
  const sluice::store::factory* made = all.find("cache");
  ASSERT_NE(made, nullptr);
  EXPECT_EQ(made->keys[0].name, "over");
  const auto mode = std::find_if(made->keys.begin(), made->keys.end(), [](const auto& k) { return k.name == "mode"; });
  ASSERT_NE(mode, made->keys.end());
  EXPECT_EQ(mode->choices, "write-through|write-back|write-around");
  config::values wanted;
  EXPECT_TRUE(made->examine(wanted));
  wanted.set("mode", std::string("write-back"));
  EXPECT_THAT(made->examine(wanted).error().message, testing::StartsWith("mode: write-back needs flash.path"));
}

}  // namespace
}  // namespace sluice::cache
