#include "actors/observe/log_thread.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <functional>
#include <sstream>

namespace sluice::observe {
namespace {

std::string told(std::uint64_t dropped) {
  return std::to_string(dropped) + " dropped\n";
}

std::uint64_t sum_of_told(const std::string& text) {
  std::uint64_t sum = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line) && !lines.eof();)
    if (line.ends_with(" dropped")) sum += std::stoull(line);
  return sum;
}

/// A pipe of one page that nobody reads until take().
struct narrow_pipe {
  int ends[2] = {-1, -1};
  narrow_pipe() {
    EXPECT_EQ(::pipe(ends), 0);
    ::fcntl(ends[1], F_SETPIPE_SZ, 4096);
  }
  ~narrow_pipe() {
    ::close(ends[0]);
    if (ends[1] >= 0) ::close(ends[1]);
  }
  /// All that comes until it is enough, or nothing more comes.
  std::string take_until(const std::function<bool(const std::string&)>& enough) const {
    constexpr int patience_ms = 10000;
    std::string all;
    char some[512];
    pollfd at{ends[0], POLLIN, 0};
    while (!enough(all) && ::poll(&at, 1, patience_ms) == 1) {
      const ssize_t got = ::read(ends[0], some, sizeof some);
      if (got <= 0) break;
      all.append(some, static_cast<std::size_t>(got));
    }
    return all;
  }
  std::string take_until(const std::string& end) const {
    return take_until([&](const std::string& all) { return all.ends_with(end); });
  }
};

std::string line(int number) {
  return "line " + std::to_string(number) + " " + std::string(100, '.') + "\n";
}

TEST(log_thread, writes_lines_in_their_order) {
  const narrow_pipe to;
  log_thread log(to.ends[1], told);
  std::string all;
  for (int i = 0; i < 10; ++i) {
    all += line(i);
    log.add(line(i));
  }
  EXPECT_EQ(to.take_until(line(9)), all);
  EXPECT_EQ(log.dropped(), 0u);
}

TEST(log_thread, nobody_waits_for_a_reader_and_what_is_dropped_is_told) {
  const narrow_pipe to;
  log_thread log(to.ends[1], told, 8000);
  for (int i = 0; i < 1000; ++i) log.add(line(i));  // ten times of what pipe and queue hold
  const std::uint64_t dropped = log.dropped();
  EXPECT_GT(dropped, 700u);
  EXPECT_LT(dropped, 1000u);
  log.drain(std::chrono::milliseconds(1));  // comes back all the same
  // It may be told in several lines.
  const std::string all = to.take_until([&](const std::string& read) { return sum_of_told(read) >= dropped; });
  EXPECT_TRUE(all.starts_with(line(0)));
  EXPECT_EQ(sum_of_told(all), dropped);
  log.add("after\n");
  EXPECT_EQ(to.take_until("after\n"), "after\n");
  EXPECT_EQ(log.dropped(), dropped);
}

TEST(log_thread, ends_though_nobody_reads) {
  const narrow_pipe to;
  log_thread log(to.ends[1], told);
  for (int i = 0; i < 1000; ++i) log.add(line(i));
}

TEST(log_thread, goes_on_when_the_reader_is_gone) {
  narrow_pipe to;
  ::signal(SIGPIPE, SIG_IGN);
  ::close(to.ends[0]);
  to.ends[0] = ::open("/dev/null", O_RDONLY);
  log_thread log(to.ends[1], told);
  for (int i = 0; i < 10; ++i) {
    log.add(line(i));
    log.drain(std::chrono::seconds(10));
  }
  EXPECT_EQ(log.dropped(), 0u);
}

}  // namespace
}  // namespace sluice::observe
