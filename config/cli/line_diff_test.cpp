#include "config/cli/line_diff.hpp"

#include <gtest/gtest.h>

#include <random>

namespace sluice::config {

namespace {

std::string numbers(int from, int to) {
  std::string out;
  for (int i = from; i <= to; ++i) out += std::to_string(i) + "\n";
  return out;
}

/// Does what patch(1) does, and checks each line that a hunk leaves or removes.
std::string patched(const std::string& before, const std::string& diff) {
  std::vector<std::string> old_lines, new_lines;
  const auto split = [](const std::string& text) {
    std::vector<std::string> all;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      all.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return all;
  };
  old_lines = split(before);
  std::size_t next = 0;
  for (const std::string& line : split(diff)) {
    if (line.starts_with("---") || line.starts_with("+++")) continue;
    if (line.starts_with("@@")) {
      const std::size_t first = std::stoul(line.substr(4));
      const bool none = line.substr(4, line.find(' ', 4) - 4).ends_with(",0");
      for (const std::size_t until = none ? first : first - 1; next < until;) new_lines.push_back(old_lines.at(next++));
      continue;
    }
    if (line[0] != '+') {
      EXPECT_EQ(old_lines.at(next++), line.substr(1));
    }
    if (line[0] != '-') new_lines.push_back(line.substr(1));
  }
  while (next < old_lines.size()) new_lines.push_back(old_lines.at(next++));
  std::string out;
  for (const std::string& line : new_lines) out += line + "\n";
  return out;
}

TEST(line_diff, shows_a_change_with_what_is_around_it) {
  std::string after = numbers(1, 20);
  after.replace(after.find("10\n"), 3, "ten\n");
  EXPECT_EQ(unified_diff(numbers(1, 20), after, "a", "b"),
            "--- a\n+++ b\n@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n");
}

TEST(line_diff, has_a_hunk_for_each_change_that_is_far_from_others) {
  EXPECT_EQ(unified_diff(numbers(1, 30), numbers(2, 29), "a", "b"),
            "--- a\n+++ b\n@@ -1,4 +1,3 @@\n-1\n 2\n 3\n 4\n@@ -27,4 +26,3 @@\n 27\n 28\n 29\n-30\n");
}

TEST(line_diff, of_the_same_is_nothing) {
  EXPECT_EQ(unified_diff("a\n", "a\n", "a", "b"), "");
  EXPECT_EQ(unified_diff("", "", "a", "b"), "");
}

TEST(line_diff, begins_and_ends_with_nothing) {
  EXPECT_EQ(unified_diff("", "x\n", "a", "b"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n");
  EXPECT_EQ(unified_diff("x\n", "", "a", "b"), "--- a\n+++ b\n@@ -1 +0,0 @@\n-x\n");
}

TEST(line_diff, tells_of_a_newline_that_is_not_there) {
  EXPECT_EQ(unified_diff("x\n", "x", "a", "b"), "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+x\n\\ No newline at end of file\n");
}

TEST(line_diff, makes_the_one_of_the_other) {
  std::mt19937 draw(7);
  for (int round = 0; round < 500; ++round) {
    std::string before, after;
    for (unsigned i = draw() % 40; i > 0; --i) before += std::string(1, static_cast<char>('a' + draw() % 5)) + "\n";
    for (unsigned i = draw() % 40; i > 0; --i) after += std::string(1, static_cast<char>('a' + draw() % 5)) + "\n";
    const std::string diff = unified_diff(before, after, "x", "y");
    EXPECT_EQ(diff.empty(), before == after);
    EXPECT_EQ(patched(before, diff), after) << diff;
  }
}

TEST(line_diff, of_much_that_differs_is_one_change) {
  const std::string before = numbers(1, 20'000), after = numbers(20'001, 50'000);
  EXPECT_EQ(patched(before, unified_diff(before, after, "x", "y")), after);
}

}  // namespace

}  // namespace sluice::config
