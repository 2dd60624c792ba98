#include <gmock/gmock.h>

#include <future>
#include <thread>

#include "ceph/shared/test_cluster.hpp"
#include "tiers/store/contract_setup.hpp"

/// The authority over a real cluster, by what gateway/state/authority.hpp promises.
namespace sluice::shared {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

/// A loop with a thread.
class running_loop {
 public:
  running_loop() : loop_(reactor::make_loop({}).value()), thread_([this] { loop_->run(); }) {}
  ~running_loop() {
    loop_->stop();
    thread_.join();
  }
  reactor::loop& get() { return *loop_; }
  /// Does it there, and waits.
  template <class Work>
  auto enter(Work work) {
    std::packaged_task<decltype(work())()> task(std::move(work));
    auto done = task.get_future();
    loop_->post([&task] { task(); });
    return done.get();
  }

 private:
  std::unique_ptr<reactor::loop> loop_;
  std::thread thread_;
};

/// One gateway: its connections, its membership, and a seat at one record.
class gateway final : public state::watcher {
 public:
  gateway(const std::string& name, const std::string& record) : record_(record) {
    auto joined = membership::join(connections_, test_cluster::usual(name));
    if (!joined) throw std::runtime_error(joined.error().message);
    members_ = std::move(*joined);
    authority_.emplace(members_);
    sit_down();
  }
  ~gateway() { get_up(); }

  void sit_down() { seat_ = authority_->open(record_, loop_.get()).value(); }
  void get_up() {
    loop_.enter([this] { seat_.reset(); });
  }
  result<state::record> read() {
    std::promise<result<state::record>> answer;
    loop_.enter([&] { seat_->read([&](result<state::record> now) { answer.set_value(std::move(now)); }); });
    return answer.get_future().get();
  }
  state::verdict propose(std::uint64_t expected, const std::string& content, std::uint64_t joins = 0) {
    std::promise<state::verdict> answer;
    loop_.enter([&] {
      state::proposal what{expected, content, true};
      if (joins != 0) what.joins = {members_->id(), joins};
      seat_->propose(what, [&](const state::verdict& how) { answer.set_value(how); });
    });
    return answer.get_future().get();
  }
  /// Becomes a member on what is agreed, and obeys it.
  std::uint64_t join(std::uint64_t incarnation) {
    for (;;) {
      const auto now = read().value();
      if (propose(now.epoch, now.content + "+", incarnation).what != state::verdict::kind::committed) continue;
      loop_.enter([&] {
        seat_->watch(members_->id(), incarnation, this);
        seat_->in_force(now.epoch + 1);
      });
      return now.epoch + 1;
    }
  }
  void obey(std::uint64_t epoch) {
    loop_.enter([&] { seat_->in_force(epoch); });
  }
  std::future<void> confirm(std::uint64_t epoch) {
    auto answer = std::make_shared<std::promise<void>>();
    auto done = answer->get_future();
    loop_.enter([&] { seat_->confirm(epoch, [answer] { answer->set_value(); }); });
    return done;
  }
  template <class Value>
  Value see(Value gateway::*of) {
    return loop_.enter([&] { return this->*of; });
  }

  void on_committed(const state::record& newer) override {
    heard.push_back(newer.content);
    if (obeys) seat_->in_force(newer.epoch);
  }
  void on_lost() override { ++lost; }
  void on_gone(gateway_id who, std::uint64_t incarnation) override { gone.emplace_back(who, incarnation); }

  std::vector<std::string> heard;
  std::vector<std::pair<gateway_id, std::uint64_t>> gone;
  int lost = 0;
  bool obeys = true;
  membership& members() { return *members_; }
  cluster::connections& connections() { return *connections_; }

 private:
  const std::string record_;
  const std::shared_ptr<cluster::connections> connections_ = std::make_shared<cluster::connections>();
  running_loop loop_;
  std::shared_ptr<membership> members_;
  std::optional<rados_authority> authority_;
  std::unique_ptr<state::seat> seat_;
};

class rados_authority_test : public testing::Test {
 protected:
  void SetUp() override {
    if (test_cluster::conf().empty())
      GTEST_SKIP() << "no cluster: SLUICE_TEST_CEPH_CONF is not set (tests/run ceph starts one)";
  }
  /// Another gateway than those of other tests.
  std::unique_ptr<gateway> make(const std::string& name) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    return std::make_unique<gateway>(std::string(test->name()) + "-" + name, std::string("unit/") + test->name());
  }
  template <class Holds>
  bool comes_true(Holds holds, std::chrono::seconds limit = 20s) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!holds() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(10ms);
    return holds();
  }
  static bool is_ready(const std::future<void>& one) { return one.wait_for(0s) == std::future_status::ready; }
  /// Says in the cluster's object that a gateway is gone, as others do when it does not renew itself.
  void mark(gateway& whom, gateway& by) {
    const shared_object table(by.members().now()->pool, test_cluster::usual("").name + ".cluster");
    const std::string key = "member/" + whom.members().options().gateway;
    ASSERT_TRUE(comes_true([&] {
      const auto [outcome, all] = table.read_now();
      auto record = parse_member(all.at(key)).value();
      record.gone = true;
      return table.change_now({false, {{key, all.at(key)}}, {{key, text_of(record)}}, {}}) == 0;
    }));
  }
};

TEST_F(rados_authority_test, compares_and_sets) {
  const auto a = make("a"), b = make("b");
  EXPECT_NE(a->members().id(), b->members().id());
  EXPECT_EQ(a->read()->epoch, 0U);
  EXPECT_EQ(a->propose(0, "one").what, state::verdict::kind::committed);
  const auto lost = b->propose(0, "other");
  EXPECT_EQ(lost.what, state::verdict::kind::conflict);
  EXPECT_EQ(lost.current.epoch, 1U);
  EXPECT_EQ(lost.current.content, "one");
  EXPECT_EQ(b->propose(1, "two").what, state::verdict::kind::committed);
  EXPECT_EQ(a->read()->content, "two");
}

TEST_F(rados_authority_test, loses_no_change_of_two_that_race) {
  const auto a = make("a"), b = make("b");
  const auto race = [](gateway& one) {
    for (int done = 0; done < 50;) {
      const auto now = one.read().value();
      if (one.propose(now.epoch, now.content + ".").what == state::verdict::kind::committed) ++done;
    }
  };
  std::thread other([&] { race(*b); });
  race(*a);
  other.join();
  EXPECT_EQ(a->read()->epoch, 100U);
  EXPECT_EQ(a->read()->content.size(), 100U);
}

TEST_F(rados_authority_test, tells_of_commits_and_confirms_when_all_obey) {
  const auto a = make("a"), b = make("b");
  EXPECT_EQ(a->join(1), 1U);
  EXPECT_EQ(b->join(2), 2U);
  b->obeys = false;
  ASSERT_TRUE(comes_true([&] { return !a->see(&gateway::heard).empty(); }));
  EXPECT_EQ(a->propose(2, "mine").what, state::verdict::kind::committed);
  const auto confirmed = a->confirm(3);
  ASSERT_TRUE(comes_true([&] { return b->see(&gateway::heard) == std::vector<std::string>{"mine"}; }));
  EXPECT_FALSE(comes_true([&] { return is_ready(confirmed); }, 2s)) << "it does not obey yet";
  b->obey(3);
  EXPECT_TRUE(comes_true([&] { return is_ready(confirmed); }));
  const auto of_another = b->confirm(3);
  EXPECT_FALSE(comes_true([&] { return is_ready(of_another); }, 1s)) << "who committed it does not obey yet";
  a->obey(3);
  EXPECT_TRUE(comes_true([&] { return is_ready(of_another); })) << "one waits for what others commit, too";
  b->get_up();
  EXPECT_EQ(a->propose(3, "alone").what, state::verdict::kind::committed);
  EXPECT_TRUE(comes_true([done = a->confirm(4)] { return is_ready(done); })) << "nobody sits there any more";
  EXPECT_TRUE(comes_true([&] { return !a->see(&gateway::gone).empty(); }));
  EXPECT_THAT(a->see(&gateway::gone), ElementsAre(std::pair<gateway_id, std::uint64_t>(b->members().id(), 2)));
}

TEST_F(rados_authority_test, does_not_wait_for_a_gateway_whose_life_has_ended) {
  const auto a = make("a"), b = make("b");
  a->join(1);
  b->join(2);
  b->obeys = false;
  ASSERT_TRUE(comes_true([&] { return !a->see(&gateway::heard).empty(); }));
  EXPECT_EQ(a->propose(2, "mine").what, state::verdict::kind::committed);
  const auto confirmed = a->confirm(3);
  const auto life = b->members().now()->life;
  const auto fenced = b->members().now()->pool;
  mark(*b, *a);
  EXPECT_TRUE(comes_true([&] { return is_ready(confirmed); }));
  EXPECT_TRUE(comes_true([&] { return !a->see(&gateway::gone).empty(); }));
  EXPECT_EQ(shared_object(fenced, "whatever").change_now({true, {}, {{"a", "b"}}, {}}), -ESHUTDOWN)
      << "what it sends now is fenced";
  EXPECT_TRUE(comes_true([&] { return b->see(&gateway::lost) == 1; }));
  EXPECT_TRUE(comes_true([&] {
    const auto now = b->members().now();
    return now && now->life != life;
  })) << "it joins again";
  EXPECT_EQ(b->join(3), 4U) << "over another connection";
}

TEST_F(rados_authority_test, a_gateway_that_an_operator_fenced_joins_again_over_another_connection) {
  const auto a = make("a"), b = make("b");
  a->join(1);
  const auto before = a->members().now();
  ASSERT_TRUE(b->members().now()->pool->on().fence(before->pool->on()));
  EXPECT_TRUE(comes_true([&] { return a->see(&gateway::lost) == 1; }));
  EXPECT_TRUE(comes_true([&] {
    const auto now = a->members().now();
    return now && now->life != before->life;
  }));
  EXPECT_EQ(a->join(2), 2U);
}

TEST_F(rados_authority_test, a_lease_lapses_and_holds_again) {
  const auto a = make("a");
  EXPECT_TRUE(a->members().term().holds());
  a->members().term().end();
  EXPECT_TRUE(comes_true([&] { return a->members().term().holds(); })) << "by the next renewal";
}

TEST_F(rados_authority_test, two_gateways_of_one_name_are_one_too_many) {
  const auto a = make("a");
  const auto second = membership::join(std::make_shared<cluster::connections>(), a->members().options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::busy);
  EXPECT_THAT(second.error().message, HasSubstr("each needs a name of its own"));
}

TEST_F(rados_authority_test, who_is_drained_yields_to_another_and_stays_so) {
  const auto a = make("a");
  auto b = make("b");
  const gateway_id of_a = a->members().id(), of_b = b->members().id();
  const std::string name = a->members().options().gateway;
  EXPECT_FALSE(a->members().yields_to({of_a, of_b}));
  EXPECT_EQ(a->members().drain("nobody", true).error().code, errc::not_found);
  ASSERT_TRUE(b->members().drain(name, true));
  EXPECT_TRUE(comes_true([&] { return a->members().yields_to({of_a, of_b}); }));
  EXPECT_FALSE(a->members().yields_to({of_a})) << "nobody else shares it";
  EXPECT_FALSE(b->members().yields_to({of_a, of_b}));
  const auto once_more = [&] { return b->members().drain(b->members().options().gateway, true); };
  ASSERT_TRUE(once_more());
  EXPECT_TRUE(comes_true([&] { return !a->members().yields_to({of_a, of_b}); })) << "both are";
  b.reset();
  b = make("b");
  EXPECT_TRUE(comes_true([&] { return !b->members().members().empty() && !b->members().yields_to({of_a, of_b}); }));
  ASSERT_TRUE(a->members().drain(name, false));
  EXPECT_TRUE(comes_true([&] { return b->members().yields_to({of_a, of_b}); })) << "it was drained when it began";
}

TEST_F(rados_authority_test, forgets_who_is_gone_and_nobody_else) {
  const auto a = make("a"), b = make("b");
  EXPECT_EQ(a->members().forget(b->members().options().gateway).error().code, errc::busy) << "it lives";
  const std::string name = a->members().options().gateway + "-gone";
  const shared_object table(a->members().now()->pool, test_cluster::usual("").name + ".cluster");
  ASSERT_EQ(table.change_now({false, {}, {{"member/" + name, text_of(member_record{999, 12345, 7, true, {}})}}, {}}),
            0);
  const auto is_listed = [&] {
    const auto all = a->members().members();
    return std::any_of(all.begin(), all.end(), [&](const auto& each) { return each.gateway == name; });
  };
  ASSERT_TRUE(comes_true(is_listed));
  bool forgotten = false;
  ASSERT_TRUE(comes_true([&] { return forgotten = forgotten || a->members().forget(name).has_value(); }))
      << "once it is fenced";
  EXPECT_TRUE(comes_true([&] { return !is_listed(); }));
  EXPECT_EQ(a->members().forget(name).error().code, errc::not_found);
}

TEST_F(rados_authority_test, a_gateway_keeps_its_number_for_good) {
  const auto number = make("a")->members().id();
  make("b");
  EXPECT_EQ(make("a")->members().id(), number);
}

}  // namespace
}  // namespace sluice::shared
