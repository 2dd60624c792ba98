#include "actors/base/inbox.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <thread>
#include <vector>

namespace sluice {
namespace {

struct letter {
  letter* next = nullptr;
  unsigned from = 0;
  unsigned number = 0;
};

std::vector<unsigned> take_all(inbox<letter>& from) {
  std::vector<unsigned> numbers;
  for (letter* each = from.take(); each; each = each->next) numbers.push_back(each->number);
  return numbers;
}

TEST(inbox, gives_back_what_was_left_oldest_first_and_says_who_was_the_first) {
  inbox<letter> box;
  std::array<letter, 3> letters;
  for (unsigned i = 0; i < letters.size(); ++i) letters[i].number = i;
  EXPECT_TRUE(box.empty());
  EXPECT_TRUE(box.push(letters[0]));
  EXPECT_FALSE(box.push(letters[1]));
  EXPECT_FALSE(box.empty());
  EXPECT_EQ(take_all(box), (std::vector<unsigned>{0, 1}));
  EXPECT_TRUE(box.empty());
  EXPECT_TRUE(box.push(letters[2])) << "the reader has to be told anew";
  EXPECT_EQ(take_all(box), std::vector<unsigned>{2});
  EXPECT_EQ(box.take(), nullptr);
}

TEST(inbox, loses_nothing_of_several_writers_and_keeps_the_order_of_each) {
  constexpr unsigned writers = 3, letters_each = 20'000;
  inbox<letter> box;
  std::vector<std::unique_ptr<letter[]>> letters;
  std::vector<std::thread> threads;
  for (unsigned w = 0; w < writers; ++w) {
    letters.push_back(std::make_unique<letter[]>(letters_each));
    threads.emplace_back([&box, w, mine = letters.back().get()] {
      for (unsigned i = 0; i < letters_each; ++i) {
        mine[i].from = w;
        mine[i].number = i;
        box.push(mine[i]);
      }
    });
  }
  std::array<unsigned, writers> seen{};
  for (unsigned left = writers * letters_each; left != 0;) {
    for (letter* each = box.take(); each; each = each->next, --left) ASSERT_EQ(each->number, seen[each->from]++);
    std::this_thread::yield();
  }
  for (std::thread& each : threads) each.join();
  EXPECT_TRUE(box.empty());
}

}  // namespace
}  // namespace sluice
