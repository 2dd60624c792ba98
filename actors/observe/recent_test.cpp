#include "actors/observe/recent.hpp"

#include <gtest/gtest.h>

#include "actors/observe/log.hpp"

namespace sluice::observe {

TEST(recent_lines, keeps_the_last_and_numbers_them_without_gaps) {
  recent_lines lines;
  for (int i = 1; i <= 1500; ++i) lines.add("t", std::to_string(i));
  std::uint64_t next = 0;
  const auto all = lines.from(0, next);
  ASSERT_EQ(all.size(), recent_lines::capacity);
  EXPECT_EQ(all.front().what, "477");
  EXPECT_EQ(all.back().number, 1500u);
  EXPECT_EQ(next, 1501u);
  EXPECT_TRUE(lines.from(next, next).empty());
}

TEST(recent_lines, hears_what_is_logged) {
  std::uint64_t next = 0;
  recent().from(0, next);
  set_log_sink([](std::string_view) {});
  SLUICE_LOG(warning, "test", "something", {"who", "me"});
  set_log_sink(nullptr);
  std::uint64_t after = 0;
  const auto heard = recent().from(next, after);
  ASSERT_EQ(heard.size(), 1u);
  EXPECT_EQ(heard[0].what, "warning test: something who=me");
  EXPECT_EQ(heard[0].time.back(), 'Z');
}

}  // namespace sluice::observe
