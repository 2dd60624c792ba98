#include "tiers/cache/trace/simulate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <map>
#include <random>
#include <sstream>

#include "tiers/cache/trace/references.hpp"
#include "tiers/cache/trace/test_traces.hpp"

namespace sluice::cache {
namespace {

using testing::HasSubstr;

result<std::vector<trace_record>> read_text(const std::string& text) {
  std::istringstream in(text);
  return read_trace(in);
}

TEST(trace, is_read_as_it_was_written) {
  const auto trace = oltp_trace(1000, 7);
  std::string text = "time_us,op,offset,length\n# made for a test\n\n";
  for (const trace_record& record : trace) text += to_line(record) + "\r\n";
  const auto read = read_text(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, trace);
}

TEST(trace, errors_name_the_line_and_what_is_wrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"0,R,0,4096\n1,R,0\n", "line 2: takes four fields"},
      {"0,R,0,4096,1\n", "has 5"},
      {"x,R,0,4096\n0,R,0,4096\ny,R,0,1", "line 3: the time"},
      {"0,X,0,4096\n", "line 1: the operation is R, W or D"},
      {"0,R,-1,4096\n", "line 1: the offset"},
      {"0,R,9223372036854775807,4096\n", "line 1: the offset"},
      {"0,R,0,0\n", "line 1: the length"},
      {"0,R,0,99999999999\n", "line 1: the length"},
  };
  for (const auto& [text, sentence] : cases) {
    const auto read = read_text(text);
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error().message, HasSubstr(sentence));
  }
  EXPECT_THAT(read_text(std::string(1000, '1')).error().message, HasSubstr("longer than"));
  std::istringstream two("0,R,0,1\n0,R,0,1\n");
  EXPECT_THAT(read_trace(two, 1).error().message, HasSubstr("at most 1"));
}

/// Every choice of what to hold, by exhaustion: what Belady's rule must come to.
std::uint64_t max_hits(const reference_string& string, std::size_t at, std::uint32_t held, std::uint32_t capacity,
                       bool writes_stay, std::map<std::pair<std::size_t, std::uint32_t>, std::uint64_t>& known) {
  if (at == string.all.size()) return 0;
  if (const auto found = known.find({at, held}); found != known.end()) return found->second;
  const reference& r = string.all[at];
  const std::uint32_t bit = 1U << r.block;
  std::uint64_t best = 0;
  const auto go_on = [&](std::uint32_t next) {
    best = std::max(best, max_hits(string, at + 1, next, capacity, writes_stay, known));
  };
  const std::uint64_t now = r.op == trace_op::read && (held & bit) != 0 ? 1 : 0;
  const bool drops = r.op == trace_op::discard || (r.op == trace_op::write && !writes_stay);
  go_on(held & ~bit);
  if (!drops) {
    if ((held & bit) != 0 || static_cast<std::uint32_t>(std::popcount(held)) < capacity) go_on(held | bit);
    for (std::uint32_t victim = 0; victim < 32; ++victim)
      if ((held >> victim & 1) != 0) go_on((held & ~(1U << victim)) | bit);
  }
  return known[{at, held}] = now + best;
}

TEST(belady, is_the_best_of_all_choices) {
  EXPECT_TRUE(rc::check([](std::vector<std::uint8_t> touches) {
    touches.resize(std::min<std::size_t>(touches.size(), 18));
    std::vector<trace_record> trace;
    for (const std::uint8_t t : touches) {
      const auto op = t / 5 % 6 == 0 ? trace_op::discard : t / 5 % 6 < 3 ? trace_op::write : trace_op::read;
      trace.push_back({0, t % 5 * std::uint64_t{4096}, 4096, op});
    }
    const auto string = references_of(trace, 0);
    for (const bool writes_stay : {false, true})
      for (const std::uint32_t capacity : {1U, 2U, 3U}) {
        std::map<std::pair<std::size_t, std::uint32_t>, std::uint64_t> known;
        RC_ASSERT(best_hits(*string, capacity, writes_stay) == max_hits(*string, 0, 0, capacity, writes_stay, known));
      }
  }));
}

void expect_sane(const simulation& made) {
  for (const simulated_size& row : made.by_size) {
    for (const double ratio : {row.s3_fifo, row.lru, row.arc}) {
      EXPECT_GE(ratio, 0);
      EXPECT_LE(ratio, row.best + 1e-12) << "better than the best at " << row.size_bytes;
    }
  }
}

TEST(simulation, nobody_beats_the_best_and_s3_fifo_beats_lru) {
  for (const char* name : {"zipf", "scan", "oltp"}) {
    SCOPED_TRACE(name);
    const auto made = simulate(trace_named(name, 60'000, 11), {.sizes_bytes = {}, .bypass_bytes = 1 << 20});
    ASSERT_TRUE(made);
    expect_sane(*made);
    for (const simulated_size& row : made->by_size) {
      if (row.size_bytes * 4 > made->footprint_bytes) continue;  // where nearly all fits, they are alike
      EXPECT_GE(row.s3_fifo, row.lru) << "at " << row.size_bytes;
    }
  }
}

TEST(simulation, a_tier_that_holds_everything_misses_each_block_once) {
  const auto made = simulate(zipf_trace(20'000, 5), {.sizes_bytes = {1ull << 40}});
  ASSERT_TRUE(made);
  const double expected =
      1 - static_cast<double>(made->footprint_bytes) / 4096 / static_cast<double>(made->blocks_read);
  EXPECT_DOUBLE_EQ(made->by_size[0].s3_fifo, expected);
  EXPECT_DOUBLE_EQ(made->by_size[0].lru, expected);
  EXPECT_DOUBLE_EQ(made->by_size[0].arc, expected);
  EXPECT_DOUBLE_EQ(made->by_size[0].best, expected);
}

TEST(simulation, streams_are_kept_out_and_write_around_drops_what_is_written) {
  std::vector<trace_record> trace;
  for (int round = 0; round < 2; ++round)
    for (std::uint64_t at = 0; at < 64; ++at) trace.push_back({0, at * 65536, 65536, trace_op::read});
  const auto all = simulate(trace, {.sizes_bytes = {8 << 20}});
  EXPECT_DOUBLE_EQ(all->by_size[0].s3_fifo, 0.5);
  const auto part = simulate(trace, {.sizes_bytes = {8 << 20}, .bypass_bytes = 1 << 20});
  EXPECT_DOUBLE_EQ(part->by_size[0].s3_fifo, 0.125) << "the first MiB of the stream is admitted";
  trace = {{0, 0, 4096, trace_op::write}, {1, 0, 4096, trace_op::read}, {2, 0, 4096, trace_op::read}};
  EXPECT_DOUBLE_EQ(simulate(trace, {.sizes_bytes = {4096}})->by_size[0].s3_fifo, 1);
  EXPECT_DOUBLE_EQ(simulate(trace, {.sizes_bytes = {4096}, .writes_stay = false})->by_size[0].s3_fifo, 0.5);
}

TEST(simulation, refuses_what_it_cannot_answer) {
  EXPECT_THAT(simulate({}, {.sizes_bytes = {100}}).error().message, HasSubstr("at least one block"));
  EXPECT_TRUE(simulate({}, {}));
  EXPECT_THAT(references_of({{0, 0, 65536, trace_op::read}}, 0, 15).error().message, HasSubstr("more than 15"));
}

}  // namespace
}  // namespace sluice::cache
