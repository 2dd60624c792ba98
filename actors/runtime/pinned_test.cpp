#include "actors/runtime/pinned.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace sluice::runtime {
namespace {

/// Real loops on threads of their own, with an actor system for the pool.
class pinned_actors : public ::testing::Test {
 protected:
  pinned_actors() : system_(configure(config_)) {
    for (unsigned i = 0; i < 2; ++i) {
      loops_.push_back(std::move(*reactor::make_loop({.index = i})));
      cores_.push_back(std::make_unique<core>(system_, *loops_.back()));
      threads_.emplace_back([loop = loops_.back().get()] { loop->run(); });
    }
  }
  ~pinned_actors() override {
    system_.await_all_actors_done();
    for (auto& loop : loops_) loop->stop();
    for (auto& thread : threads_) thread.join();
    cores_.clear();
  }
  static caf::actor_system_config& configure(caf::actor_system_config& config) {
    config.set("scheduler.max-threads", 1);
    return config;
  }

  caf::actor_system_config config_;
  caf::actor_system system_;
  std::vector<std::unique_ptr<reactor::loop>> loops_;
  std::vector<std::unique_ptr<core>> cores_;
  std::vector<std::thread> threads_;
};

/// Counts notes and messages, and answers requests with what it has seen, in order.
class counter final : public pinned<caf::event_based_actor> {
 public:
  explicit counter(caf::actor_config& config) : pinned(config) {}
  caf::behavior make_behavior() override {
    return {
        [this](int value) {
          EXPECT_TRUE(own_core().loop().runs_here());
          seen.push_back(value);
        },
        [this](const std::string&) { return static_cast<int>(seen.size()); },
        [](double) -> int { throw std::runtime_error("as asked"); },
    };
  }
  std::vector<int> seen;

 private:
  void on_message(void* subject, std::uint32_t kind) override {
    EXPECT_TRUE(own_core().loop().runs_here());
    seen.push_back(*static_cast<int*>(subject) + static_cast<int>(kind));
  }
};

}  // namespace

TEST_F(pinned_actors, answer_requests_from_outside) {
  auto actor = spawn_on<counter>(*cores_[0]);
  caf::scoped_actor self(system_);
  for (int i = 0; i < 1000; ++i) self->send(caf::actor_cast<caf::actor>(actor.handle), i);
  self->request(caf::actor_cast<caf::actor>(actor.handle), std::chrono::seconds(10), std::string("how many"))
      .receive([](int count) { EXPECT_EQ(count, 1000); }, [](const caf::error&) { FAIL(); });
  self->send_exit(caf::actor_cast<caf::actor>(actor.handle), caf::exit_reason::user_shutdown);
}

TEST_F(pinned_actors, keep_notes_and_messages_of_one_core_in_order) {
  auto actor = spawn_on<counter>(*cores_[0]);
  const auto handle = caf::actor_cast<caf::actor>(actor.handle);
  static int numbers[300];
  cores_[0]->call([&] {
    for (int i = 0; i < 300; ++i) {
      numbers[i] = i;
      if (i % 3 == 0)
        caf::anon_send(handle, i);
      else
        actor->send_message(&numbers[i], 0);
    }
  });
  caf::scoped_actor self(system_);
  self->request(handle, std::chrono::seconds(10), std::string("how many"))
      .receive([](int count) { EXPECT_EQ(count, 300); }, [](const caf::error&) { FAIL(); });
  cores_[0]->call([&] {
    for (int i = 0; i < 300; ++i) EXPECT_EQ(actor->seen[static_cast<std::size_t>(i)], i);
  });
  self->send_exit(handle, caf::exit_reason::user_shutdown);
}

/// Ends at the note of this number.
class leaver final : public pinned<caf::event_based_actor> {
 public:
  leaver(caf::actor_config& config, int last, std::vector<int>& seen) : pinned(config), last_(last), seen_(seen) {}
  caf::behavior make_behavior() override {
    return {[](int) {}};
  }

 private:
  void on_message(void*, std::uint32_t number) override {
    seen_.push_back(static_cast<int>(number));
    send_message(nullptr, number + 100);  // behind those that wait
    if (static_cast<int>(number) == last_) quit();
  }

  const int last_;
  std::vector<int>& seen_;
};

TEST_F(pinned_actors, that_end_at_a_note_get_none_after_it) {
  for (const int last : {0, 3, 7, 8, 19, 102}) {
    std::vector<int> seen;
    auto actor = spawn_on<leaver>(*cores_[0], last, seen);
    cores_[0]->call([&] {
      for (std::uint32_t i = 0; i < 20; ++i) actor->send_message(nullptr, i);
    });
    caf::scoped_actor self(system_);
    self->wait_for(caf::actor_cast<caf::actor>(actor.handle));
    cores_[0]->call([&] {
      for (std::uint32_t i = 0; i < 20; ++i) actor->send_message(nullptr, i);
    });
    std::vector<int> expected;
    for (int i = 0; i < 20 && i <= last; ++i) expected.push_back(i);
    for (int i = 100; i <= last; ++i) expected.push_back(i);
    cores_[0]->call([&] { EXPECT_EQ(seen, expected); });
  }
}

/// Sends `left` down to nothing, back and forth with its peer.
class ping final : public pinned<caf::event_based_actor> {
 public:
  ping(caf::actor_config& config, std::function<void()> finished) : pinned(config), finished_(std::move(finished)) {}
  caf::behavior make_behavior() override {
    return {
        [this](const caf::actor& peer) { peer_ = peer; },
        [this](int left) {
          if (left == 0) {
            finished_();
            return;
          }
          send(peer_, left - 1);
        },
    };
  }
  void on_exit() override { peer_ = nullptr; }

 private:
  caf::actor peer_;
  std::function<void()> finished_;
};

TEST_F(pinned_actors, talk_across_cores_and_wake_a_sleeping_one) {
  const latch done;
  auto left = spawn_on<ping>(*cores_[0], done.opener());
  auto right = spawn_on<ping>(*cores_[1], done.opener());
  const auto l = caf::actor_cast<caf::actor>(left.handle), r = caf::actor_cast<caf::actor>(right.handle);
  caf::anon_send(l, r);
  caf::anon_send(r, l);
  caf::anon_send(l, 20000);
  done.wait();
  caf::anon_send_exit(l, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(r, caf::exit_reason::user_shutdown);
}

TEST_F(pinned_actors, lose_no_message_when_many_threads_send) {
  auto actor = spawn_on<counter>(*cores_[0]);
  const auto handle = caf::actor_cast<caf::actor>(actor.handle);
  constexpr int each = 20000;
  std::vector<std::thread> senders;
  for (int t = 0; t < 3; ++t)
    senders.emplace_back([&] {
      for (int i = 0; i < each; ++i) caf::anon_send(handle, i);
    });
  static int one = 1;
  for (int i = 0; i < 100; ++i) cores_[0]->call([&] { actor->send_message(&one, 0); });
  for (std::thread& sender : senders) sender.join();
  caf::scoped_actor self(system_);
  self->request(handle, std::chrono::seconds(30), std::string("how many"))
      .receive([](int count) { EXPECT_EQ(count, 3 * each + 100); }, [](const caf::error&) { FAIL(); });
  self->send_exit(handle, caf::exit_reason::user_shutdown);
}

TEST_F(pinned_actors, end_by_an_exception_and_bounce_later_requests) {
  auto actor = spawn_on<counter>(*cores_[0]);
  const auto handle = caf::actor_cast<caf::actor>(actor.handle);
  caf::scoped_actor self(system_);
  self->monitor(handle);
  self->request(handle, std::chrono::seconds(10), 1.5)
      .receive([](int) { FAIL(); }, [](const caf::error& e) { EXPECT_EQ(e, caf::sec::runtime_error); });
  self->receive([](const caf::down_msg& down) { EXPECT_TRUE(down.reason); });
  self->request(handle, std::chrono::seconds(10), std::string("there?"))
      .receive([](int) { FAIL(); }, [](const caf::error& e) { EXPECT_TRUE(e); });
}

/// An ordinary actor of the pool, which asks a pinned one. A class: CAF's functor actors bind a null reference.
class asker final : public caf::event_based_actor {
 public:
  asker(caf::actor_config& config, caf::actor whom, std::function<void(int)> answered)
      : caf::event_based_actor(config), whom_(std::move(whom)), answered_(std::move(answered)) {}
  caf::behavior make_behavior() override {
    return {[this](bool) {
      send(whom_, 5);
      request(whom_, caf::infinite, std::string("how many")).then([this](int count) {
        answered_(count);
        quit();
      });
    }};
  }
  void on_exit() override { whom_ = nullptr; }

 private:
  caf::actor whom_;
  std::function<void(int)> answered_;
};

TEST_F(pinned_actors, wake_actors_of_the_pool) {
  auto actor = spawn_on<counter>(*cores_[0]);
  const auto pinned_handle = caf::actor_cast<caf::actor>(actor.handle);
  const latch done;
  std::atomic<int> answer{-1};
  const auto pooled = system_.spawn<asker>(pinned_handle, [&answer, open = done.opener()](int count) {
    answer = count;
    open();
  });
  caf::anon_send(pooled, true);
  done.wait();
  EXPECT_EQ(answer.load(), 1);
  caf::anon_send_exit(pinned_handle, caf::exit_reason::user_shutdown);
}

}  // namespace sluice::runtime
