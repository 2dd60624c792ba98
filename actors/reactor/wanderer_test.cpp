#include "actors/reactor/wanderer.hpp"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <thread>

#include "actors/base/inbox.hpp"
#include "actors/reactor/simulated.hpp"

namespace sluice::reactor {
namespace {

struct letter {
  letter* next = nullptr;
  unsigned from = 0;
  unsigned number = 0;
};

/// Reads its letters on whatever loop it sits on.
class postman final : public wanderer {
 public:
  void send(letter& one, const loop& from) {
    const bool is_first = box_.push(one);
    if (here() == &from) return wake();
    if (is_first) poke();
  }
  std::vector<letter*> read;  // by the one loop that it sits on
  std::vector<loop*> seats;
  std::atomic<std::size_t> count = 0;

 private:
  void sit_down(loop& on) override {
    seats.push_back(&on);
    wake();
  }
  void get_up(loop& on) override { EXPECT_EQ(seats.back(), &on); }
  void wake() noexcept override {
    for (letter* next = box_.take(); next; next = next->next) {
      read.push_back(next);
      ++count;
    }
  }
  inbox<letter> box_;
};

class wanderer_world : public testing::Test {
 protected:
  wanderer_world() {
    for (unsigned i = 0; i < loops_.size(); ++i) loops_[i] = world_.make_loop(i);
  }
  loop& on(std::size_t which) { return *loops_[which]; }
  void settle() { world_.run_for(ns_per_ms); }

  sim_world world_{1};
  std::array<std::unique_ptr<loop>, 3> loops_;
  const std::shared_ptr<postman> postman_ = std::make_shared<postman>();
  std::array<letter, 4> letters_;
};

TEST_F(wanderer_world, sits_where_its_first_user_is_and_stays_until_the_last_one_there_goes) {
  EXPECT_EQ(postman_->here(), nullptr);
  EXPECT_FALSE(postman_->has_users());
  postman_->attach(on(0));
  postman_->attach(on(0));
  postman_->attach(on(1));
  EXPECT_EQ(postman_->here(), &on(0));
  EXPECT_TRUE(postman_->stays_without(on(0))) << "another user is there";
  postman_->detach(on(0));
  EXPECT_EQ(postman_->here(), &on(0));
  EXPECT_FALSE(postman_->stays_without(on(0)));
  EXPECT_TRUE(postman_->stays_without(on(1)));
  postman_->detach(on(0));
  EXPECT_EQ(postman_->here(), nullptr) << "on its way";
  settle();
  EXPECT_EQ(postman_->here(), &on(1));
  postman_->detach(on(1));
  EXPECT_EQ(postman_->here(), nullptr);
  EXPECT_EQ(postman_->seats, (std::vector<loop*>{&on(0), &on(1)}));
}

TEST_F(wanderer_world, reads_what_was_sent_while_it_was_on_its_way) {
  for (std::size_t i = 0; i < 3; ++i) postman_->attach(on(i));
  postman_->detach(on(0));
  postman_->send(letters_[0], on(2));
  EXPECT_TRUE(postman_->read.empty());
  settle();
  EXPECT_EQ(postman_->here(), &on(1));
  EXPECT_EQ(postman_->read, std::vector<letter*>{&letters_[0]});
  postman_->detach(on(2));
  postman_->detach(on(1));
}

TEST_F(wanderer_world, goes_on_when_those_it_was_on_its_way_to_are_gone) {
  for (std::size_t i = 0; i < 3; ++i) postman_->attach(on(i));
  postman_->detach(on(0));
  postman_->detach(on(1));
  postman_->send(letters_[0], on(2));
  settle();
  EXPECT_EQ(postman_->here(), &on(2));
  EXPECT_EQ(postman_->read.size(), 1U);
  postman_->detach(on(2));
}

TEST_F(wanderer_world, is_found_by_a_poke_that_reaches_the_loop_it_has_left) {
  for (std::size_t i = 0; i < 2; ++i) postman_->attach(on(i));
  postman_->send(letters_[0], on(1));  // a poke is on its way to the first loop
  postman_->detach(on(0));
  settle();
  EXPECT_EQ(postman_->read.size(), 1U);
  postman_->send(letters_[1], on(0));
  settle();
  EXPECT_EQ(postman_->read.size(), 2U);
  postman_->detach(on(1));
}

/// Users of real loops come and go, and each sends a letter whenever it is there.
TEST(wanderer, loses_no_letter_of_loops_that_come_and_go) {
  constexpr unsigned workers = 3, letters_each = 3'000;
  const auto shared = std::make_shared<postman>();
  std::array<std::unique_ptr<loop>, workers> loops;
  std::array<std::vector<letter>, workers> letters;
  std::vector<std::thread> threads;
  std::atomic<unsigned> done = 0;
  for (unsigned w = 0; w < workers; ++w) {
    loops[w] = std::move(*make_loop({.index = w}));
    letters[w].resize(letters_each);
    // Each holds on to it from its first to its last letter but for moments: one of them is there always.
    loops[w]->post([&, w] { shared->attach(*loops[w]); });
  }
  std::function<void(unsigned, unsigned)> work = [&](unsigned w, unsigned number) {
    if (number == letters_each) {
      ++done;
      return;
    }
    letter& one = letters[w][number];
    one.from = w;
    one.number = number;
    shared->send(one, *loops[w]);
    if (number % 7 == w) {
      shared->detach(*loops[w]);
      shared->attach(*loops[w]);
    }
    loops[w]->post([&, w, number] { work(w, number + 1); });
  };
  for (unsigned w = 0; w < workers; ++w) {
    loops[w]->post([&, w] { work(w, 0); });
    threads.emplace_back([&, w] { loops[w]->run(); });
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (shared->count != workers * letters_each && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  // What moves it is posted to loops that still run.
  std::atomic<unsigned> left = workers;
  for (unsigned w = 0; w < workers; ++w)
    loops[w]->post([&, w] {
      shared->detach(*loops[w]);
      --left;
    });
  while (left != 0 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(left, 0U) << "a loop stands still";
  for (unsigned w = 0; w < workers; ++w) loops[w]->post([&, w] { loops[w]->stop(); });
  for (std::thread& each : threads) each.join();
  ASSERT_EQ(shared->read.size(), workers * letters_each);
  std::array<unsigned, workers> seen{};
  for (const letter* each : shared->read) ASSERT_EQ(each->number, seen[each->from]++);
  EXPECT_GT(shared->seats.size(), 1U) << "it never moved";
}

}  // namespace
}  // namespace sluice::reactor
