#include "actors/observe/log.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>
#include <vector>

namespace sluice::observe {

namespace {

constexpr std::uint64_t some_time = 1'764'000'000'123'000'000;

std::mutex guard;
std::vector<std::string> lines;
void keep(std::string_view line) {
  const std::lock_guard lock(guard);
  lines.emplace_back(line);
}

TEST(log, writes_text) {
  EXPECT_EQ(
      format_line(
          form::text, some_time, level::info, "iscsi", "login",
          {{"initiator", "iqn.1994-05.com.example:host1"}, {"cid", 7}, {"peer", "a b"}, {"ok", true}, {"ms", 1.5}}),
      "2025-11-24T16:00:00.123Z info iscsi: login initiator=iqn.1994-05.com.example:host1 cid=7 peer=\"a b\" ok=true "
      "ms=1.5");
}

TEST(log, writes_json) {
  EXPECT_EQ(
      format_line(form::json, some_time, level::warning, "unit", "slow", {{"us", 12u}, {"what", "a\"b\n\x01\xff"}}, 3),
      R"({"time":"2025-11-24T16:00:00.123Z","level":"warning","module":"unit","message":"slow","us":12,)"
      R"("what":"a\"b\n\u0001\u00ff","kept_back":3})");
}

TEST(log, gives_a_peer_no_second_line_and_no_endless_one) {
  const std::string hostile = "x\nerror fake: line" + std::string(5000, 'y');
  const std::string line = format_line(form::text, some_time, level::info, "a", hostile, {{"b", hostile}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_LT(line.size(), 2200u);
}

TEST(log, holds_a_call_site_to_its_rate) {
  call_site site;
  std::uint64_t kept_back = 0;
  for (std::uint32_t i = 0; i < lines_per_second; ++i) EXPECT_TRUE(site.admit(5'000'000'000, kept_back));
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(site.admit(5'900'000'000, kept_back));
  EXPECT_TRUE(site.admit(6'000'000'000, kept_back));
  EXPECT_EQ(kept_back, 7u);
  EXPECT_TRUE(site.admit(6'000'000'000, kept_back));
  EXPECT_EQ(kept_back, 0u);
}

TEST(log, goes_through_the_macro_from_many_threads) {
  lines.clear();
  set_log_sink(keep);
  set_log(form::text, level::warning);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      SLUICE_LOG(warning, "test", "hello", {"thread", t});
      SLUICE_LOG(info, "test", "not logged");
    });
  for (std::thread& t : threads) t.join();
  set_log_sink(nullptr);
  set_log(form::text, level::info);
  ASSERT_EQ(lines.size(), 4u);
  for (const std::string& line : lines) EXPECT_NE(line.find("warning test: hello thread="), std::string::npos) << line;
}

}  // namespace

}  // namespace sluice::observe
