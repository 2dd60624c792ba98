#include "tiers/cache/trace/trace_recorder.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <thread>
#include <vector>

namespace sluice::cache {
namespace {

using store::recording;
using store::verb;

std::vector<trace_record> parsed(const store::recorded& what) {
  std::istringstream in(what.lines);
  auto read = read_trace(in);
  EXPECT_TRUE(read);
  EXPECT_EQ(read->size(), what.requests);
  return *read;
}

TEST(trace_recorder, takes_down_what_happens_while_it_is_on) {
  trace_recorder recorder;
  EXPECT_FALSE(recorder.is_on());
  EXPECT_FALSE(recorder.turn(recording::fetch, 0));
  ASSERT_TRUE(recorder.turn(recording::start, 5'000'000));
  EXPECT_TRUE(recorder.is_on());
  EXPECT_FALSE(recorder.turn(recording::start, 6'000'000)) << "somebody does";
  recorder.note(verb::read, 4096, 8192, 5'000'000);
  recorder.note(verb::compare_and_write, 0, 512, 5'002'000);
  recorder.note(verb::discard, 1 << 20, 1ull << 40, 7'000'000);
  EXPECT_EQ(parsed(*recorder.turn(recording::fetch, 7'000'000)),
            (std::vector<trace_record>{{0, 4096, 8192, trace_op::read},
                                       {2, 0, 512, trace_op::write},
                                       {2000, 1 << 20, 64 << 20, trace_op::discard}}));
  recorder.note(verb::write, 0, 512, 8'000'000);
  EXPECT_EQ(parsed(*recorder.turn(recording::stop, 8'000'000)).size(), 1U);
  EXPECT_FALSE(recorder.is_on());
  ASSERT_TRUE(recorder.turn(recording::start, 9'000'000));
}

TEST(trace_recorder, loses_what_nobody_fetches_and_goes_off) {
  trace_recorder recorder;
  ASSERT_TRUE(recorder.turn(recording::start, 0));
  for (std::uint64_t i = 0; i < 70'000; ++i) recorder.note(verb::read, i * 512, 512, i);
  EXPECT_TRUE(recorder.is_on());
  recorder.note(verb::read, 0, 512, 11 * ns_per_s);
  EXPECT_FALSE(recorder.is_on());
  const auto kept = recorder.turn(recording::fetch, 11 * ns_per_s);
  EXPECT_EQ(kept->requests, 65'536U);
  EXPECT_EQ(kept->lost, 70'001U - 65'536U);
  EXPECT_EQ(parsed(*kept)[100].offset_bytes, 51'200U);
}

TEST(trace_recorder, takes_notes_of_many_cores_at_once) {
  trace_recorder recorder;
  ASSERT_TRUE(recorder.turn(recording::start, 0));
  constexpr std::uint64_t each = 30'000;
  std::atomic<unsigned> running = 3;
  std::vector<std::thread> cores;
  for (std::uint64_t core = 0; core < 3; ++core)
    cores.emplace_back([&, core] {
      for (std::uint64_t i = 0; i < each; ++i) recorder.note(verb::read, (i * 3 + core) * 512, 512, i);
      --running;
    });
  std::uint64_t fetched = 0, lost = 0;
  std::vector<std::uint64_t> next(3, 0);
  const auto take = [&] {
    const auto some = recorder.turn(recording::fetch, 1);
    fetched += some->requests;
    lost += some->lost;
    for (const trace_record& r : parsed(*some)) {
      const std::uint64_t core = r.offset_bytes / 512 % 3, i = r.offset_bytes / 512 / 3;
      EXPECT_GE(i, next[core]) << "each core's own order";
      next[core] = i + 1;
    }
  };
  while (running != 0) take();
  for (std::thread& core : cores) core.join();
  take();
  EXPECT_EQ(fetched + lost, 3 * each);
}

}  // namespace
}  // namespace sluice::cache
