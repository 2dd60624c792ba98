#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "config/cli/rates.hpp"
#include "config/cli/test_cli.hpp"

// What an operator sees of a gateway.
namespace sluice::config {

namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

TEST_F(cli, draws_what_the_gateway_tells) {
  answer_with([](const std::string&, const json&) -> result<json> { return json(some_status()); });
  EXPECT_EQ(ask({"ls"}), 0);
  EXPECT_EQ(out_,
            "gateway gw-a  sluice 1.2.3, up 1 h 2 min\n"
            "└─ target main\n"
            "   ├─ port iscsi iqn.2026-11.io.sluice:main  127.0.0.1:3260, [::1]:3260  group 1\n"
            "   ├─ LUN 0  unit vm1  8 GiB, 4096 B blocks, read-only\n"
            "   │  └─ store vm1-hot  cache, 8 GiB  [flash is gone]\n"
            "   │     └─ store vm1  rbd, 8 GiB\n"
            "   ├─ LUN 1  unit scratch  1 GiB, 512 B blocks  naa.6001\n"
            "   │  └─ store scratch  ram, 1 GiB\n"
            "   ├─ access iqn.1994-05.com.example:host1  chap.user host1\n"
            "   ├─ access iqn.1994-05.com.example:host2  LUNs 0 = scratch\n"
            "   └─ session 17  iqn.1994-05.com.example:host1,i,0x1  127.0.0.1:50000  1 min\n");
  EXPECT_EQ(ask({"status"}), 0);
  EXPECT_EQ(
      out_,
      "gateway gw-a  sluice 1.2.3, up 1 h 2 min\n"
      "\n"
      "REACTOR  KIND      CPU    HEALTH\n"
      "      0  io_uring  1.2 s  good\n"
      "      1  io_uring  0.5 s  stands still for 3 s, silent for 3.2 s\n"
      "\n"
      "UNIT     HEALTH  COMMAND  COUNT  ERRORS  ATTENTIONS  UNSUPPORTED  DATA      P50    P99    P99.9    MAX\n"
      "scratch  good    read      1000       1           2            3  3.91 MiB  12 µs  80 µs  1.50 ms  2.50 s\n"
      "vm1      good          -\n"
      "\n"
      "STORE    HEALTH         FIGURE       VALUE\n"
      "vm1-hot  flash is gone  dirty_bytes   1 MiB\n"
      "                        hit_ratio    93.4 %\n"
      "                        read_p99_us  120 µs\n"
      "                        stalled      no\n");
  EXPECT_EQ(ask({"session", "ls"}), 0);
  EXPECT_THAT(out_, HasSubstr("17  main"));
  EXPECT_THAT(out_, EndsWith("\n"
                             "without a session: 3\n"
                             "CONNECTION  PEER             STAGE           AGE  MEMORY\n"
                             "         5  [fd00::1]:50000  authentication  2 s  16 KiB\n"
                             "         8  [fd00::1]:50001  silent          1 s     0 B\n"
                             "…\n"
                             "\n"
                             "ADDRESS    CONNECTIONS\n"
                             "[fd00::1]            3\n"));
  EXPECT_EQ(ask({"status", "--json"}), 0);
  EXPECT_EQ(json::parse(out_), json(some_status()));
}

TEST_F(cli, survives_whatever_answers) {
  for (const json& odd :
       {json(3), json::array({1, 2}), json{{"targets", 3}}, json{{"targets", {1, "x"}}, {"units", {{{"name", 4}}}}}}) {
    answer_with([&odd](const std::string&, const json&) -> result<json> { return odd; });
    for (const char* command : {"ls", "status"}) EXPECT_EQ(ask({command}), 0) << odd;
    EXPECT_EQ(ask({"session", "ls"}), 0);
    EXPECT_EQ(ask({"pr", "show", "x"}), 0);
    ask({"plan", write("gw.toml", "")});
    ask({"events"});
    server_.reset();
  }
}

TEST_F(cli, tells_errors_in_json_where_json_was_asked_for) {
  answer_with([](const std::string& command, const json&) -> result<json> {
    if (command == "apply") return fail(errc::busy, "an apply of x is under way since noon: try again");
    return fail(errc::not_found, "no session 17");
  });
  EXPECT_EQ(ask({"session", "kick", "17", "--json"}), 1);
  EXPECT_EQ(json::parse(out_), (json{{"ok", false}, {"error", "no session 17"}, {"code", "not_found"}}));
  EXPECT_EQ(err_, "sluice: no session 17\n");
  EXPECT_EQ(ask({"apply", write("gw.toml", ""), "--json"}), 1);
  EXPECT_EQ(json::parse(out_)["code"], "busy");
}

/// Whoever asked for JSON has it, whatever goes wrong: with the file, the command line, or the gateway.
TEST_F(cli, tells_every_error_in_json) {
  const std::string bad = write("bad.toml", "[gateway]\nnaem = 1\n"), good = write("gw.toml", "");
  for (const auto& [words, code] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"plan", good}, "unreachable"},
           {{"apply", good}, "unreachable"},
           {{"ls"}, "unreachable"},
           {{"status"}, "unreachable"},
           {{"top"}, "unreachable"},
           {{"events"}, "unreachable"},
           {{"session", "ls"}, "unreachable"},
           {{"session", "kick", "1"}, "unreachable"},
           {{"unit", "resize", "vm1", "1GiB"}, "unreachable"},
           {{"pr", "show", "vm1"}, "unreachable"},
           {{"pr", "clear", "vm1", "--yes"}, "unreachable"},
           {{"cache", "drop", "hot"}, "unreachable"},
           {{"cache", "flush", "hot"}, "unreachable"},
           {{"cache", "record", "hot", "--output", directory_ / "t"}, "unreachable"},
           {{"top", "--interval", "0s"}, "invalid_argument"},
           {{"session", "kick"}, "invalid_argument"},
           {{"session", "kick", "x"}, "invalid_argument"},
           {{"unit", "resize", "vm1", "much"}, "invalid_argument"},
           {{"pr", "clear", "vm1"}, "invalid_argument"},
           {{"statsu"}, "invalid_argument"},
           {{"cache", "inspect"}, "invalid_argument"},
           {{"cache", "record", "hot", "--output", "/nonexistent/t"}, "failed"}}) {
    std::vector<std::string> all = words;
    all.push_back("--json");
    const bool asks = words[0] != "statsu" && !(words[0] == "cache" && words[1] == "inspect");
    EXPECT_EQ(asks ? ask(all) : run(all), 1) << words[0];
    const json told = json::parse(out_, nullptr, false);
    ASSERT_TRUE(told.is_object()) << words[0] << ": " << out_;
    EXPECT_EQ(told["ok"], false);
    EXPECT_EQ(told["code"], code) << words[0] << ": " << err_;
    EXPECT_EQ("sluice: " + told["error"].get<std::string>() + "\n", err_);
  }
  for (const char* command : {"check", "plan", "apply"}) {
    EXPECT_EQ(run({command, bad, "--json"}), 2);
    EXPECT_EQ(json::parse(out_)["errors"][0]["key"], "gateway.naem") << command;
  }
  EXPECT_EQ(run({"cache", "inspect", "--store", "a", "--config", bad, "--json"}), 2);
  EXPECT_EQ(json::parse(out_)["errors"][0]["key"], "gateway.naem");
}

TEST_F(cli, shows_in_json_what_it_shows_people) {
  answer_with([](const std::string& command, const json&) -> result<json> {
    if (command == "events") return json{{"events", {{{"time", "noon"}, {"what", "a login"}}}}, {"next", 2}};
    return json(some_status());
  });
  EXPECT_EQ(ask({"session", "ls", "--json"}), 0);
  json shown = json::parse(out_);
  ASSERT_EQ(shown["sessions"].size(), 1u);
  EXPECT_EQ(shown["sessions"][0]["id"], 17);
  EXPECT_EQ(shown["connections"]["count"], 3);
  EXPECT_EQ(shown.size(), 2u) << "nothing else";
  EXPECT_EQ(ask({"ls", "--json"}), 0);
  shown = json::parse(out_);
  EXPECT_EQ(shown["gateway"], (json{{"name", "gw-a"}, {"version", "1.2.3"}, {"uptime_s", 3725}}));
  EXPECT_EQ(shown["targets"], json(some_status())["targets"]);
  EXPECT_EQ(shown["units"][0]["size_bytes"], 1u << 30);
  EXPECT_FALSE(shown["units"][0].contains("commands")) << "that is for status";
  EXPECT_FALSE(shown["stores"][2].contains("figures"));
  EXPECT_FALSE(shown.contains("connections"));
  EXPECT_EQ(ask({"events", "--json"}), 0);
  EXPECT_EQ(json::parse(out_), (json{{"events", {{{"time", "noon"}, {"what", "a login"}}}}, {"next", 2}}));
}

/// Two looks at one unit, a second apart: what it did before is over.
json look(std::uint64_t count, std::uint64_t bytes, std::uint64_t errors, const json& latencies,
          std::uint64_t commands) {
  return {
      {"gateway", {{"name", "gw"}, {"version", "1"}, {"uptime_s", 5}}},
      {"units",
       {{{"name", "vm1"},
         {"commands",
          {{{"class", "read"},
            {"count", count},
            {"bytes", bytes},
            {"errors", errors},
            {"attentions", 1},
            {"unsupported", 2},
            {"p99_us", 77777},
            {"latencies", latencies}}}}}}},
      {"targets",
       {{{"sessions",
          {{{"id", 3}, {"initiator", "iqn.host"}, {"target", "main"}, {"commands", commands}, {"bytes", bytes}}}}}}}};
}

TEST(rates, are_of_the_interval_and_not_since_the_start) {
  const json before = look(1000, 4'000'000, 5, {{100.0, 900}, {50'000.0, 100}}, 1000);
  const json now = look(1100, 4'400'000, 6, {{100.0, 998}, {200.0, 1}, {50'000.0, 101}}, 1090);
  const json rates = rates_between(before, now, 2);
  ASSERT_EQ(rates["commands"].size(), 1u);
  const json& read = rates["commands"][0];
  EXPECT_EQ(read["unit"], "vm1");
  EXPECT_EQ(read["per_s"], 50);
  EXPECT_EQ(read["bytes_per_s"], 200'000);
  EXPECT_EQ(read["errors"], 1);
  EXPECT_EQ(read["attentions"], 0) << "told before";
  EXPECT_EQ(read["p50_us"], 100);
  EXPECT_EQ(read["p99_us"], 200);
  EXPECT_EQ(read["max_us"], 50'000);
  EXPECT_EQ(rates["sessions"][0]["per_s"], 45);
  EXPECT_EQ(rates["sessions"][0]["initiator"], "iqn.host");
  EXPECT_EQ(render_rates(rates),
            "gateway gw  sluice 1, up 5 s\n"
            "\n"
            "UNIT  COMMAND  IOPS  MB/s  P50     P99     P99.9     MAX       ERRORS\n"
            "all   all        50   0.2  100 µs  200 µs  50.00 ms  50.00 ms       1\n"
            "vm1   read       50   0.2  100 µs  200 µs  50.00 ms  50.00 ms       1\n"
            "\n"
            "INITIATOR  TARGET  IOPS  MB/s\n"
            "iqn.host   main      45   0.2\n");
  EXPECT_THAT(render_rates(rates_between(now, now, 1)), HasSubstr("\nidle\n"));
}

TEST(rates, add_up_all_units_and_begin_anew_with_a_unit_that_does) {
  json before = look(1000, 0, 0, {{100.0, 1000}}, 0), now = look(10, 5, 0, {{100.0, 10}}, 0);
  json other = now["units"][0];
  other["name"] = "vm2";
  other["commands"][0]["latencies"] = {{1000.0, 10}};
  now["units"].push_back(other);
  const json rates = rates_between(before, now, 1);
  EXPECT_EQ(rates["commands"][0]["per_s"], 10) << "its counts fell: it was made anew";
  EXPECT_EQ(rates["total"]["per_s"], 20);
  EXPECT_EQ(rates["total"]["p50_us"], 100);
  EXPECT_EQ(rates["total"]["p99_us"], 1000);
  EXPECT_EQ(rates_between(json(3), json::array({1}), 1)["commands"].size(), 0u);
}

TEST(rates, fit_on_a_screen) {
  const json now = look(10, 5, 0, {{100.0, 10}}, 0);
  const std::string all = render_rates(rates_between(json::object(), now, 1));
  EXPECT_EQ(render_rates(rates_between(json::object(), now, 1), 100), all);
  const std::string some = render_rates(rates_between(json::object(), now, 1), 4);
  EXPECT_EQ(std::count(some.begin(), some.end(), '\n'), 4);
  EXPECT_THAT(some, EndsWith("\n…\n"));
}

TEST_F(cli, looks_again_and_again) {
  std::uint64_t looks = 0;
  answer_with([&looks](const std::string& command, const json& arguments) -> result<json> {
    EXPECT_EQ(command, "status");
    EXPECT_EQ(arguments, (json{{"latencies", true}}));
    ++looks;
    return look(looks * 10, looks * 10, 0, {{100.0, looks * 10}}, looks);
  });
  EXPECT_EQ(ask({"top", "--interval", "1ms", "--count", "3"}), 0);
  EXPECT_EQ(looks, 4u);
  EXPECT_THAT(out_, HasSubstr("\nvm1   read"));
  EXPECT_THAT(out_, Not(HasSubstr("77.78 ms"))) << "a percentile since the start";
  EXPECT_EQ(ask({"top", "--interval", "1ms", "--count", "1", "--json"}), 0);
  EXPECT_EQ(json::parse(out_)["commands"][0]["p50_us"], 100);
}

}  // namespace

}  // namespace sluice::config
