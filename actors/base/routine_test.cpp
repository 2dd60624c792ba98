#include "actors/base/routine.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

/// Its routines tell what they do.
class traveller {
 public:
  explicit traveller(std::vector<std::string>& to) : log(to) {}
  waiting_place& waiting() { return place_; }

  auto answer() {
    return until(place_, [this] { ++asked; });
  }
  subroutine<> leg(const std::string name, unsigned stops) {
    for (unsigned i = 0; i < stops; ++i) co_await answer();
    log.push_back(name);
  }
  subroutine<unsigned> both_legs() {
    co_await leg("walks", 0);
    co_await leg("rides", 2);
    co_return 2u;
  }
  routine journey() {
    log.push_back("begins");
    const unsigned legs = co_await both_legs();
    log.push_back(std::to_string(legs));
  }
  routine long_walk(unsigned legs) {
    for (unsigned i = 0; i < legs; ++i) co_await leg("", 0);
    log.push_back("ends");
  }
  routine there_and_back() {
    co_await answer();
    log.push_back("there");
    place_.let_go();
    back();
  }
  routine back() {
    struct baggage {
      std::vector<std::string>& log;
      ~baggage() { log.push_back("unpacked"); }
    } carried{log};
    co_await leg("back", 1);
  }

  std::vector<std::string>& log;
  unsigned asked = 0;

 private:
  waiting_place place_;
};

TEST(routine, runs_up_to_its_first_wait_and_goes_on_when_resumed) {
  std::vector<std::string> log;
  traveller t(log);
  t.journey();
  EXPECT_EQ(log, (std::vector<std::string>{"begins", "walks"}));
  EXPECT_EQ(t.asked, 1u);
  t.waiting().resume();
  EXPECT_EQ(t.asked, 2u);
  t.waiting().resume();
  EXPECT_EQ(log, (std::vector<std::string>{"begins", "walks", "rides", "2"}));
}

TEST(routine, that_never_waits_needs_no_stack_for_what_it_calls) {
  std::vector<std::string> log;
  traveller t(log);
  t.long_walk(1'000'000);
  EXPECT_EQ(log.size(), 1'000'001u);
}

TEST(routine, may_begin_another_one_of_its_object_at_its_end) {
  std::vector<std::string> log;
  traveller t(log);
  t.there_and_back();
  t.waiting().resume();
  EXPECT_EQ(log, (std::vector<std::string>{"there"}));
  t.waiting().resume();
  EXPECT_EQ(log, (std::vector<std::string>{"there", "back", "unpacked"}));
}

TEST(routine, that_still_waits_goes_with_its_object) {
  std::vector<std::string> log;
  {
    traveller t(log);
    t.there_and_back();
    t.waiting().resume();
  }
  EXPECT_EQ(log, (std::vector<std::string>{"there", "unpacked"}));
}

TEST(routine, frames_are_used_again) {
  void* first = frame_pool::take(300);
  frame_pool::put_back(first, 300);
  EXPECT_EQ(frame_pool::take(500), first) << "of the same class";
  frame_pool::put_back(first, 500);
  void* large = frame_pool::take(1 << 20);
  frame_pool::put_back(large, 1 << 20);
}

}  // namespace
}  // namespace sluice
