#include "gateway/state/local_authority.hpp"

#include <gtest/gtest.h>

#include <set>

#include "gateway/state/test_loop.hpp"

namespace sluice::state {
namespace {

/// Counts what is written, and fails when told so.
class counting_store final : public state_store {
 public:
  result<std::optional<std::string>> load(std::string_view key) override { return below->load(key); }
  result<void> save(std::string key, std::string value) override {
    ++writes;
    if (full) return fail(errc::no_space, "full");
    return below->save(std::move(key), std::move(value));
  }
  void change(std::vector<update> updates, reactor::loop& on, durable done) override {
    ++writes;
    if (full) return on.post([done] { done(fail(errc::no_space, "full")); });
    below->change(std::move(updates), on, std::move(done));
  }
  std::unique_ptr<state_store> below = make_memory_store();
  int writes = 0;
  bool full = false;
};

class local_authority_test : public ::testing::Test {
 protected:
  verdict propose(seat& at, std::uint64_t expected, const std::string& content, bool lasts = false) {
    std::optional<verdict> got;
    at.propose({expected, content, lasts}, [&](const verdict& how) { got = how; });
    while (!got) turn();
    return *got;
  }
  void turn() {
    loop->post([this] { loop->post([this] { loop->stop(); }); });
    loop->run();
  }
  static record read(seat& at) {
    record now;
    at.read([&](const result<record>& got) { now = *got; });
    return now;
  }

  std::unique_ptr<reactor::loop> loop = make_test_loop();
  counting_store kept;
};

TEST_F(local_authority_test, commits_only_what_expects_the_epoch_that_is) {
  const auto all = *local_authority::make(kept);
  const auto at = *all->open("unit/a", *loop);
  const std::uint64_t first = read(*at).epoch;
  EXPECT_EQ(propose(*at, first, "one").what, verdict::kind::committed);
  EXPECT_EQ(read(*at).epoch, first + 1);
  const verdict late = propose(*at, first, "two");
  EXPECT_EQ(late.what, verdict::kind::conflict);
  EXPECT_EQ(late.current.content, "one");
  EXPECT_EQ(late.current.epoch, first + 1);
  EXPECT_EQ(propose(*at, first + 2, "two").what, verdict::kind::conflict);
  EXPECT_EQ(propose(*at, first + 1, "two", true).what, verdict::kind::committed);
}

TEST_F(local_authority_test, writes_only_what_lasts_and_once) {
  const auto all = *local_authority::make(kept);
  const int at_start = kept.writes;
  EXPECT_EQ(at_start, 1) << "the range of epochs";
  const auto at = *all->open("unit/a", *loop);
  const std::uint64_t first = read(*at).epoch;
  for (unsigned i = 0; i < 10; ++i) propose(*at, first + i, "x");
  EXPECT_EQ(kept.writes, at_start);
  propose(*at, first + 10, "y", true);
  EXPECT_EQ(kept.writes, at_start + 1);
}

TEST_F(local_authority_test, uses_no_epoch_twice_whatever_was_lost_at_each_start) {
  std::set<std::uint64_t> used;
  std::uint64_t last = 0;
  for (int start = 0; start < 20; ++start) {
    const auto all = *local_authority::make(kept, 4);
    const auto at = *all->open("unit/a", *loop);
    for (int i = 0; i < start; ++i) {
      const std::uint64_t expected = read(*at).epoch;
      ASSERT_EQ(propose(*at, expected, "x", i % 5 == 4).what, verdict::kind::committed);
      EXPECT_TRUE(used.insert(expected + 1).second) << expected + 1;
      EXPECT_GT(expected + 1, last);
      last = expected + 1;
    }
  }
}

TEST_F(local_authority_test, a_unit_that_comes_back_within_a_start_goes_on) {
  const auto all = *local_authority::make(kept);
  auto at = *all->open("unit/a", *loop);
  const std::uint64_t first = read(*at).epoch;
  propose(*at, first, "one");
  at.reset();
  at = *all->open("unit/a", *loop);
  EXPECT_EQ(read(*at).epoch, first + 1);
  EXPECT_EQ(read(*at).content, "one");
}

TEST_F(local_authority_test, remembers_what_lasts_with_its_epoch) {
  std::uint64_t epoch = 0;
  {
    const auto all = *local_authority::make(kept);
    const auto at = *all->open("unit/a", *loop);
    epoch = read(*at).epoch;
    propose(*at, epoch, "kept", true);
    propose(*at, epoch + 1, "forgotten");
  }
  const auto all = *local_authority::make(kept);
  const record now = read(**all->open("unit/a", *loop));
  EXPECT_EQ(now.content, "kept");
  EXPECT_GT(now.epoch, epoch + 2);
}

TEST_F(local_authority_test, what_cannot_be_written_did_not_happen) {
  const auto all = *local_authority::make(kept);
  const auto at = *all->open("unit/a", *loop);
  const std::uint64_t first = read(*at).epoch;
  kept.full = true;
  const verdict failed = propose(*at, first, "x", true);
  EXPECT_EQ(failed.what, verdict::kind::failed);
  EXPECT_EQ(failed.why.code, errc::no_space);
  EXPECT_EQ(read(*at).epoch, first);
  kept.full = false;
  EXPECT_EQ(propose(*at, first, "x", true).what, verdict::kind::committed);
}

TEST_F(local_authority_test, replaces_keys_of_a_former_format_in_the_same_write) {
  ASSERT_TRUE(kept.save("mode/a", "old"));
  const auto all = *local_authority::make(kept);
  const auto at = *all->open("unit/a", *loop);
  const int before = kept.writes;
  bool done = false;
  at->propose({read(*at).epoch, "new", true, {"mode/a"}}, [&](const verdict&) { done = true; });
  while (!done) turn();
  EXPECT_EQ(kept.writes, before + 1);
  EXPECT_FALSE(kept.load("mode/a")->has_value());
}

TEST_F(local_authority_test, tells_another_seat_and_orders_what_waits_for_a_write) {
  struct listener final : watcher {
    void on_committed(const record& newer) override { told.push_back(newer.epoch); }
    void on_lost() override {}
    void on_gone(gateway_id, std::uint64_t) override {}
    std::vector<std::uint64_t> told;
  } hears;
  const auto all = *local_authority::make(kept);
  const auto one = *all->open("unit/a", *loop);
  const auto two = *all->open("unit/a", *loop);
  two->watch(0, 1, &hears);
  const std::uint64_t first = read(*one).epoch;
  std::vector<verdict::kind> got;
  one->propose({first, "x", true}, [&](const verdict& how) { got.push_back(how.what); });
  two->propose({first, "y"}, [&](const verdict& how) { got.push_back(how.what); });
  while (got.size() < 2) turn();
  turn();
  EXPECT_EQ(got, (std::vector{verdict::kind::committed, verdict::kind::conflict}));
  EXPECT_EQ(hears.told, std::vector{first + 1});
}

TEST_F(local_authority_test, a_seat_that_is_gone_hears_nothing_and_its_change_is_made) {
  const auto all = *local_authority::make(kept);
  auto at = *all->open("unit/a", *loop);
  const std::uint64_t first = read(*at).epoch;
  at->propose({first, "x", true}, [&](const verdict&) { ADD_FAILURE(); });
  at.reset();
  turn();
  EXPECT_EQ(read(**all->open("unit/a", *loop)).epoch, first + 1);
}

TEST_F(local_authority_test, tells_damage) {
  ASSERT_TRUE(kept.save("unit/a", "nonsense"));
  const auto all = *local_authority::make(kept);
  const auto damaged = *all->open("unit/a", *loop);
  const record now = read(*damaged);
  EXPECT_FALSE(now.damage.empty());
  EXPECT_EQ(propose(*damaged, now.epoch, "anew", true).what, verdict::kind::committed);
  EXPECT_EQ(read(*damaged).damage, "");
  EXPECT_EQ(read(**all->open("unit/b", *loop)).damage, "");
  const std::string whole = frame({7, "content"});
  EXPECT_EQ(parse_frame(whole)->epoch, 7u);
  EXPECT_EQ(parse_frame(whole)->content, "content");
  for (std::size_t at = 0; at < 17; ++at) {
    std::string bent = whole;
    bent[at] = static_cast<char>(bent[at] ^ 1);
    EXPECT_FALSE(parse_frame(bent)) << at;
    EXPECT_FALSE(parse_frame(whole.substr(0, at)));
  }
}

TEST_F(local_authority_test, of_a_damaged_head_the_content_is_read_all_the_same) {
  std::string bent = frame({7, "content"});
  bent[6] ^= 1;
  ASSERT_TRUE(kept.save("unit/a", bent));
  const auto all = *local_authority::make(kept);
  const record now = read(**all->open("unit/a", *loop));
  EXPECT_EQ(now.content, "content");
  EXPECT_FALSE(now.damage.empty());
}

TEST_F(local_authority_test, goes_on_beyond_all_epochs_when_their_count_is_damaged) {
  std::uint64_t last = 0;
  {
    const auto all = *local_authority::make(kept);
    const auto at = *all->open("unit/a", *loop);
    last = read(*at).epoch;
    propose(*at, last++, "kept", true);
  }
  for (const char* text : {"", "x", "12x", "-1", "18446744073709551615"}) {
    ASSERT_TRUE(kept.save("epochs", text));
    const auto all = *local_authority::make(kept);
    const record now = read(**all->open("unit/a", *loop));
    EXPECT_EQ(now.content, "kept");
    EXPECT_GT(now.epoch, last) << text;
    EXPECT_NE(kept.load("epochs")->value(), text);
  }
}

TEST_F(local_authority_test, starts_without_a_range_where_nothing_can_be_written) {
  const auto made_full = [this] {
    kept.full = true;
    return *local_authority::make(kept);
  };
  const auto all = made_full();
  const auto at = *all->open("unit/a", *loop);
  const std::uint64_t first = read(*at).epoch;
  EXPECT_EQ(propose(*at, first, "joins").what, verdict::kind::committed);
  EXPECT_EQ(propose(*at, first + 1, "lasts", true).what, verdict::kind::failed);
  kept.full = false;
  EXPECT_FALSE(kept.load("epochs")->has_value());
  EXPECT_EQ(propose(*at, first + 1, "lasts", true).what, verdict::kind::committed);
  EXPECT_EQ(kept.load("epochs")->value(), std::to_string(first + 2 + local_authority::epochs_of_a_start));
}

}  // namespace
}  // namespace sluice::state
