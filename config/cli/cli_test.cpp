#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "config/cli/commands.hpp"
#include "config/cli/manual.hpp"
#include "config/cli/misread.hpp"
#include "config/cli/test_cli.hpp"

namespace sluice::config {

namespace {

using nlohmann::json;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(cli, serves_a_good_file) {
  const std::string file = write("gw.toml", "[gateway]\nname = \"gw\"\n");
  EXPECT_EQ(run({"serve", "--config", file}), 0);
  ASSERT_TRUE(served_);
  EXPECT_EQ(served_->gateway.control, "/run/sluice/control.sock");
  EXPECT_EQ(how_->config_file, file);
  EXPECT_FALSE(how_->control);
  EXPECT_EQ(run({"serve", "--config", file, "--control", "/tmp/x.sock"}), 0);
  EXPECT_EQ(served_->gateway.control, "/tmp/x.sock");
}

TEST_F(cli, probes_when_asked_to) {
  const std::string file = write("gw.toml", "[store.a]\ntype = \"ram\"\nsize = \"1MiB\"\n");
  int probes = 0;
  hooks_.probe = [&](const model& m, diagnostics& warnings) {
    ++probes;
    warnings.push_back({m.stores.at(0).at, "store.a.size", "is odd", {}});
    return diagnostics{{m.stores.at(0).at, "store.a", "the medium is not there", {}}};
  };
  EXPECT_EQ(run({"check", file}), 0);
  EXPECT_EQ(probes, 0);
  EXPECT_EQ(run({"check", "--probe", file}), 2);
  EXPECT_EQ(err_, file + ":1:8: store.a: the medium is not there\n");
  hooks_.probe = [](const model& m, diagnostics& warnings) {
    warnings.push_back({m.stores.at(0).at, "store.a.size", "is odd", {}});
    return diagnostics();
  };
  EXPECT_EQ(run({"check", "--probe", file}), 0);
  EXPECT_THAT(out_, StartsWith("warning: " + file + ":1:8: store.a.size: is odd\n"));
  EXPECT_EQ(run({"check", "--probe", "--json", file}), 0);
  EXPECT_EQ(json::parse(out_)["warnings"][0]["key"], "store.a.size");
}

TEST_F(cli, refuses_a_bad_file_with_status_2_and_starts_nothing) {
  const std::string file = write("gw.toml", "[gateway]\nnaem = 1\n[store.a]\ntype = \"ram\"\nsize = 3\n");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"serve", "--config", file}, {"check", file}, {"plan", file}, {"apply", file}}) {
    EXPECT_EQ(run(words), 2) << words[0];
    EXPECT_THAT(err_, StartsWith(file + ":2:1: gateway.naem: is not a key, did you mean 'name'?; ")) << words[0];
    EXPECT_THAT(err_, HasSubstr("\n" + file + ":5:8: store.a.size: ")) << words[0];
    EXPECT_EQ(out_, "");
  }
  EXPECT_FALSE(served_);
  EXPECT_EQ(run({"check", "--json", file}), 2);
  const json errors = json::parse(out_);
  EXPECT_EQ(errors["ok"], false);
  EXPECT_EQ(errors["errors"][1]["line"], 5);
  EXPECT_EQ(errors["errors"][1]["key"], "store.a.size");
}

TEST_F(cli, checks_without_a_gateway) {
  EXPECT_EQ(run({"check", write("gw.toml", "")}), 0);
  EXPECT_THAT(out_, HasSubstr("good"));
  EXPECT_EQ(err_, "");
}

TEST_F(cli, hands_the_demo_its_options) {
  EXPECT_EQ(run({"demo", "--listen", "[::1]:0", "--directory", "/tmp/d"}), 0);
  EXPECT_EQ(demo_->listen.to_string(), "[::1]:0");
  EXPECT_EQ(demo_->directory, "/tmp/d");
  EXPECT_EQ(run({"demo", "--listen", "somewhere"}), 1);
}

TEST_F(cli, says_in_a_sentence_what_is_wrong) {
  EXPECT_EQ(ask({"ls"}), 1);
  EXPECT_THAT(err_, StartsWith("sluice: no gateway answers at "));
  for (const std::vector<std::string>& words : {std::vector<std::string>{},
                                                {"lss"},
                                                {"serve"},
                                                {"session", "kick"},
                                                {"session", "kick", "x"},
                                                {"session", "kick", "17", "--connection", "5"},
                                                {"session", "kick", "--connection", "5", "--address", "10.0.0.1"},
                                                {"ls", "--nonsense"}}) {
    EXPECT_EQ(run(words), 1);
    EXPECT_THAT(err_, StartsWith("sluice: "));
    EXPECT_EQ(out_, "");
  }
  answer_with([](const std::string&, const json&) { return fail(errc::not_found, "there is no session 17"); });
  EXPECT_EQ(ask({"session", "kick", "17"}), 1);
  EXPECT_EQ(err_, "sluice: there is no session 17\n");
}

TEST_F(cli, names_the_command_that_is_none) {
  for (const auto& [words, sentence] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"nonsense"}, "there is no command \"nonsense\"; see sluice --help"},
           {{"statsu", "--json"}, "there is no command \"statsu\", did you mean \"status\"?; see sluice --help"},
           {{"session", "kik", "17"},
            "there is no command \"session kik\", did you mean \"kick\"?; see sluice session --help"},
           {{"help", "sesion"}, "there is no command \"sesion\", did you mean \"session\"?; see sluice --help"}}) {
    EXPECT_EQ(run(words), 1);
    EXPECT_EQ(err_, "sluice: " + sentence + "\n");
  }
  EXPECT_EQ(run({"session", "kick", "x"}), 1);
  EXPECT_THAT(err_, Not(HasSubstr("there is no command")));
}

TEST_F(cli, says_what_is_missing_or_too_much_and_where_to_go_on) {
  for (const auto& [words, sentence] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "a command is missing: sluice help lists them, sluice demo shows a gateway at work"},
           {{"session"}, "sluice session needs one of its commands: ls or kick; for example: sluice session ls"},
           {{"serve"}, "sluice serve needs --config FILE; for example: sluice serve --config /etc/sluice/sluice.toml"},
           {{"unit", "resize"}, "sluice unit resize needs UNIT and SIZE; for example: sluice unit resize vm1 128GiB"},
           {{"unit", "resize", "vm1"}, "sluice unit resize needs SIZE; for example: sluice unit resize vm1 128GiB"},
           {{"session", "kick"},
            "sluice session kick needs an ID, --connection ID or --address ADDRESS; for example: sluice session kick "
            "17"},
           {{"session", "kick", "nobody"},
            "\"nobody\" is no ID of a session: those are numbers, which sluice session ls shows"},
           {{"session", "kick", "--connection", "-5"},
            "\"-5\" is no ID of a connection: those are numbers, which sluice session ls shows"},
           {{"session", "kick", "17", "--connection", "5"},
            "either ID or --connection ID, not both; see sluice session kick --help"},
           {{"ls", "--jsn"}, "there is no option --jsn of sluice ls, did you mean --json?; see sluice ls --help"},
           {{"ls", "-j"}, "there is no option -j of sluice ls; see sluice ls --help"},
           {{"--json", "ls"}, "there is no option --json of sluice; see sluice --help"},
           {{"ls", "--json=x"}, "--json of sluice ls takes no value; see sluice ls --help"},
           {{"ls", "--control"}, "--control SOCKET: the SOCKET is missing; see sluice ls --help"},
           {{"ls", "--control", "a", "--control=b"}, "--control is there twice; see sluice ls --help"},
           {{"pr", "show", "a", "b"}, "\"b\" is a word too many for sluice pr show UNIT; see sluice pr show --help"},
           {{"cache", "inspect", "--store", "a"},
            "--store needs --config FILE beside it; see sluice cache inspect --help"},
           {{"completion", "fis"}, "there is no completion for \"fis\", did you mean \"fish\"?; bash, zsh or fish"},
           {{"top", "--count", "many"}, "--count: \"many\" is no whole number"},
           {{"cache", "record", "a", "--output", "b", "--seconds", "99999999999"},
            "--seconds: \"99999999999\" is no whole number up to 31622400"},
           {{"cache", "simulate", "a", "--mode", "write-bakc"},
            "--mode: \"write-bakc\" is not a choice; write-through or write-around"}}) {
    EXPECT_EQ(run(words), 1);
    EXPECT_EQ(err_, "sluice: " + sentence + "\n");
  }
}

struct leaf {
  std::vector<std::string> words;
  const CLI::App* command;
};

void add_leaves(const CLI::App& at, const std::vector<std::string>& words, std::vector<leaf>& to) {
  if (commands_of(at).empty()) return to.push_back({words, &at});
  for (const CLI::App* command : commands_of(at)) {
    std::vector<std::string> longer = words;
    longer.push_back(command->get_name());
    add_leaves(*command, longer, to);
  }
}

/// Each command, used wrongly in each way that its description allows.
TEST_F(cli, never_speaks_in_the_words_of_the_parser) {
  command_tree tree(hooks_);
  std::vector<leaf> all;
  add_leaves(tree.app(), {}, all);
  ASSERT_GT(all.size(), 20U);
  const auto expect_own = [this](std::vector<std::string> words, const std::vector<std::string>& more) {
    words.insert(words.end(), more.begin(), more.end());
    EXPECT_EQ(run(words), 1) << testing::PrintToString(words);
    EXPECT_THAT(err_, StartsWith("sluice: "));
    EXPECT_THAT(err_, AnyOf(HasSubstr("; see sluice "), HasSubstr("; for example: sluice ")))
        << testing::PrintToString(words);
    EXPECT_THAT(err_, Not(HasSubstr("cannot be understood as it stands"))) << testing::PrintToString(words);
  };
  for (const auto& [words, command] : all) {
    expect_own(words, {"--nonsense"});
    expect_own(words, {"-x"});
    std::vector<std::string> many{"1"};
    bool any_number = false, lacks = false;
    for (const CLI::Option* option : command->get_options()) {
      lacks = lacks || option->get_required();
      if (option->get_positional()) {
        any_number = any_number || option->get_items_expected_max() > 1;
        many.push_back("1");
      } else if (option->get_items_expected_max() == 1) {
        const std::string name = "--" + option->get_lnames().front();
        expect_own(words, {name});
        expect_own(words, {name, "1", name, "1"});
      } else if (option->get_items_expected_max() == 0 && option->get_lnames().front() != "help") {
        expect_own(words, {"--" + option->get_lnames().front() + "=odd"});
      }
    }
    if (!any_number) expect_own(words, many);
    if (lacks) expect_own(words, {});
    std::vector<std::string> asking = words;
    asking.push_back("--help");
    EXPECT_EQ(run(asking), 0);
    EXPECT_THAT(out_, HasSubstr("explain the command"));
    for (const char* words_of_the_parser : {"Print this help", "REQUIRED", "Excludes", "Needs"})
      EXPECT_THAT(out_, Not(HasSubstr(words_of_the_parser)));
  }
}

TEST_F(cli, sends_what_the_operator_asked_for) {
  std::vector<json> asked;
  answer_with([&asked](const std::string& command, const json& arguments) -> result<json> {
    asked.push_back({{"command", command}, {"arguments", arguments}});
    return json(nullptr);
  });
  const std::string file = write("gw.toml", "");
  EXPECT_EQ(ask({"session", "kick", "17"}), 0);
  EXPECT_EQ(ask({"session", "kick", "--connection", "5"}), 0);
  EXPECT_EQ(ask({"session", "kick", "--address", "[fd00::1]"}), 0);
  EXPECT_EQ(ask({"unit", "resize", "vm1", "2TiB"}), 0);
  EXPECT_EQ(ask({"unit", "resize", "vm1", "2TB"}), 1);
  EXPECT_EQ(ask({"pr", "clear", "vm1"}), 1);
  EXPECT_EQ(ask({"pr", "clear", "vm1", "--yes"}), 0);
  EXPECT_EQ(ask({"apply", file}), 0);
  server_->stop();
  ASSERT_EQ(asked.size(), 6u);
  const auto expect = [&asked](std::size_t i, const char* command, const json& arguments) {
    EXPECT_EQ(asked[i]["command"], command);
    EXPECT_EQ(asked[i]["arguments"], arguments);
  };
  expect(0, "session.kick", {{"id", 17}});
  expect(1, "connection.kick", {{"id", 5}});
  expect(2, "connection.kick", {{"address", "[fd00::1]"}});
  expect(3, "unit.resize", {{"unit", "vm1"}, {"size_bytes", 2ull << 40}, {"shrink", false}});
  expect(4, "pr.clear", {{"unit", "vm1"}});
  expect(5, "apply", {{"file", file}});
}

/// A flag comes before the environment, and that before the default: else a command reaches another gateway.
TEST_F(cli, asks_the_gateway_that_the_flag_names_whatever_the_environment_says) {
  std::size_t asked = 0, others = 0;
  answer_with([&](const std::string&, const json&) -> result<json> {
    ++asked;
    return fail(errc::not_found, "the one of the flag");
  });
  const std::string elsewhere = directory_ / "other";
  control::control_server other(elsewhere, [&](const std::string&, const json&) -> result<json> {
    ++others;
    return fail(errc::not_found, "the one of the environment");
  });
  ASSERT_TRUE(other.start());
  const std::string file = write("gw.toml", "");
  const std::string trace = directory_ / "trace";
  const std::vector<std::vector<std::string>> all = {{"plan", file},
                                                     {"apply", file},
                                                     {"ls"},
                                                     {"status"},
                                                     {"top", "--count", "1"},
                                                     {"events"},
                                                     {"session", "ls"},
                                                     {"session", "kick", "1"},
                                                     {"unit", "resize", "vm1", "1GiB", "--shrink"},
                                                     {"unit", "move", "vm1", "--to", "gw-b"},
                                                     {"cluster", "status"},
                                                     {"cluster", "drain", "gateway-b"},
                                                     {"cluster", "undrain", "gateway-b"},
                                                     {"cluster", "forget", "gateway-b"},
                                                     {"config", "history"},
                                                     {"config", "show"},
                                                     {"config", "diff"},
                                                     {"config", "rollback", "1"},
                                                     {"pr", "show", "vm1"},
                                                     {"pr", "clear", "vm1", "--yes"},
                                                     {"cache", "drop", "hot"},
                                                     {"cache", "flush", "hot"},
                                                     {"cache", "record", "hot", "--output", trace},
                                                     {"cache", "resolve", "--store", "hot", "--discard"}};
  std::size_t with_control = 0;
  const std::string page = manual_page(hooks_);
  for (std::size_t at = page.find("`--control "); at != std::string::npos; at = page.find("`--control ", at + 1))
    ++with_control;
  ASSERT_EQ(all.size() + 2, with_control) << "each command but serve and demo, which open a socket";
  ::setenv("SLUICE_CONTROL", elsewhere.c_str(), 1);
  for (const auto& words : all) {
    asked = others = 0;
    EXPECT_EQ(ask(words), 1) << words[0];
    EXPECT_GT(asked, 0U) << words[0] << ": " << err_;
    EXPECT_EQ(others, 0U) << words[0];
    asked = others = 0;
    EXPECT_EQ(run(words), 1) << words[0];
    EXPECT_EQ(asked, 0U) << words[0];
    EXPECT_GT(others, 0U) << words[0] << ": " << err_;
  }
  EXPECT_EQ(run({"serve", "--config", file}), 0) << err_;
  EXPECT_FALSE(how_ && how_->control) << "a gateway's own socket is the file's or the flag's";
  ::unsetenv("SLUICE_CONTROL");
  run({"ls"});
  EXPECT_THAT(err_, HasSubstr("/run/sluice/control.sock"));
}

TEST_F(cli, tells_a_plan_and_what_it_refuses) {
  json plan = {{"steps", {{{"action", "add_store"}, {"text", "+ store a (ram)"}}}}, {"refused", json::array()}};
  answer_with([&plan](const std::string&, const json&) -> result<json> { return plan; });
  const std::string file = write("gw.toml", "");
  EXPECT_EQ(ask({"plan", file}), 0);
  EXPECT_EQ(out_, "+ store a (ram)\n");
  plan["refused"].push_back({{"key", "gateway.reactors"}, {"reason", "needs a restart"}});
  EXPECT_EQ(ask({"plan", file}), 1);
  EXPECT_EQ(out_, "+ store a (ram)\n! gateway.reactors: needs a restart\n");
  plan = {{"steps", json::array()}, {"refused", json::array()}};
  EXPECT_EQ(ask({"plan", file}), 0);
  EXPECT_EQ(out_, "nothing to change\n");
}

TEST_F(cli, says_what_the_file_must_say_after_a_resize) {
  answer_with([](const std::string&, const json&) -> result<json> {
    return json{{"unit", "vm1"}, {"size_bytes", 2ull << 40}, {"file", {{"store", "disk"}, {"size", "2TiB"}}}};
  });
  EXPECT_EQ(ask({"unit", "resize", "vm1", "2TiB"}), 0);
  EXPECT_EQ(out_, "the file does not say so yet: write size = \"2TiB\" under [store.disk]\n");
}

TEST_F(cli, helps_with_an_example_on_each_command) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"serve", "--help"}, {"apply", "--help"}, {"session", "kick", "--help"}}) {
    EXPECT_EQ(run(words), 0);
    EXPECT_THAT(out_, HasSubstr("Example:\n  sluice " + words[0]));
  }
  EXPECT_EQ(run({"version"}), 0);
  EXPECT_EQ(out_, "sluice 1.2.3\n");
  EXPECT_EQ(run({"--version"}), 0);
}

TEST_F(cli, simulates_a_tier_on_a_trace) {
  EXPECT_EQ(run({"cache", "simulate", "a.trace", "--sizes", "1MiB,2GiB", "--mode", "write-around", "--bypass", "0B"}),
            0)
      << err_;
  ASSERT_TRUE(simulate_);
  EXPECT_EQ(simulate_->trace, fs::absolute("a.trace"));
  EXPECT_EQ(simulate_->sizes_bytes, (std::vector<std::uint64_t>{1ull << 20, 2ull << 30}));
  EXPECT_TRUE(simulate_->write_around);
  EXPECT_EQ(simulate_->bypass_bytes, 0u);
  EXPECT_EQ(run({"cache", "simulate", "a.trace"}), 0);
  EXPECT_EQ(simulate_->bypass_bytes, 1ull << 20);
  EXPECT_EQ(run({"cache", "simulate", "a.trace", "--sizes", "huge"}), 1);
  EXPECT_THAT(err_, HasSubstr("is no size"));
  EXPECT_EQ(run({"cache", "simulate", "a.trace", "--mode", "write-back"}), 1);
}

TEST_F(cli, drops_a_cache_and_flushes_it_until_all_is_below) {
  std::vector<json> asked;
  answer_with([&](const std::string& command, const json& arguments) -> result<json> {
    asked.push_back({command, arguments});
    if (command == "cache.drop") return json::object();
    return json{{"mark", 7}, {"left_bytes", asked.size() < 4 ? 3 << 20 : 0}, {"health", "good"}};
  });
  EXPECT_EQ(ask({"cache", "drop", "hot"}), 0) << err_;
  EXPECT_EQ(ask({"cache", "flush", "hot"}), 0) << err_;
  EXPECT_EQ(out_, "3 MiB written\n");
  ASSERT_EQ(asked.size(), 4U);
  EXPECT_EQ(asked[0], (json{"cache.drop", {{"store", "hot"}}}));
  EXPECT_EQ(asked[1], (json{"cache.flush", {{"store", "hot"}}}));
  EXPECT_EQ(asked[3], (json{"cache.flush", {{"mark", 7}, {"store", "hot"}}}));
  EXPECT_EQ(ask({"cache", "flush", "hot", "--json"}), 0);
  EXPECT_EQ(json::parse(out_)["written_bytes"], 0);
  EXPECT_EQ(ask({"cache", "flush"}), 1);
}

TEST_F(cli, asks_about_a_journal_and_decides_about_it) {
  EXPECT_EQ(run({"cache", "inspect", "flash", "--json"}), 0) << err_;
  ASSERT_TRUE(journal_);
  EXPECT_EQ(journal_->path, fs::absolute("flash"));
  EXPECT_TRUE(journal_->json);
  EXPECT_EQ(run({"cache", "resolve", "flash", "--discard"}), 0) << err_;
  EXPECT_TRUE(journal_->discard);
  EXPECT_FALSE(journal_->keep);
  EXPECT_EQ(run({"cache", "resolve", "flash", "--keep"}), 0) << err_;
  EXPECT_TRUE(journal_->keep);
  EXPECT_EQ(run({"cache", "resolve"}), 1);
  EXPECT_THAT(err_, HasSubstr("PATH"));
}

TEST_F(cli, finds_the_store_that_a_journal_is_asked_about) {
  const std::string good = write("good.toml", "[store.s1]\ntype = \"ram\"\nsize = \"1MiB\"\n");
  EXPECT_EQ(run({"cache", "resolve", "--store", "s1", "--config", good, "--discard"}), 0) << err_;
  ASSERT_TRUE(journal_ && journal_->store);
  EXPECT_EQ(journal_->store->type, "ram");
  EXPECT_EQ(journal_->path, "");
  EXPECT_TRUE(journal_->discard);
  EXPECT_EQ(run({"cache", "inspect", "--store", "s1", "--config", good}), 0) << err_;
  EXPECT_EQ(run({"cache", "inspect", "--store", "s2", "--config", good}), 1);
  EXPECT_THAT(err_, HasSubstr("has no store \"s2\""));
  EXPECT_EQ(run({"cache", "inspect", "--store", "s1"}), 1) << "in what configuration?";
  EXPECT_EQ(run({"cache", "inspect", "--config", good}), 1) << "which of its stores?";
  EXPECT_EQ(run({"cache", "inspect", "flash", "--store", "s1", "--config", good}), 1) << "one or the other";
  EXPECT_EQ(run({"cache", "inspect", "--store", "s1", "--config", write("bad.toml", "[store.s1]\ntype = 7\n")}), 2);
}

TEST_F(cli, gives_up_what_the_cache_of_a_running_gateway_has_lost) {
  answer_with([&](const std::string& command, const json& arguments) -> result<json> {
    EXPECT_EQ(command, "cache.resolve");
    if (arguments.at("store") != "hot") return fail(errc::not_found, "no store");
    return json{{"discarded_bytes", 8192}};
  });
  EXPECT_EQ(ask({"cache", "resolve", "--store", "hot", "--discard"}), 0) << err_;
  EXPECT_EQ(out_, "8 KiB given up\n");
  EXPECT_EQ(ask({"cache", "resolve", "--store", "cold", "--discard"}), 1);
  EXPECT_EQ(ask({"cache", "resolve", "--store", "hot", "--keep"}), 1);
  EXPECT_THAT(err_, HasSubstr("--discard"));
  EXPECT_FALSE(journal_) << "which is for what no gateway has open";
}

TEST_F(cli, records_what_a_cache_is_asked_for) {
  std::vector<std::string> asked;
  answer_with([&](const std::string& command, const json& arguments) -> result<json> {
    EXPECT_EQ(command, "cache.record");
    asked.push_back(arguments.at("action"));
    if (arguments.at("store") != "hot") return fail(errc::not_found, "no store");
    return json{{"lines", asked.size() == 1 ? "" : "0,R,0,512\n1,W,0,512\n"}, {"requests", 2}, {"lost", 1}};
  });
  const std::string file = directory_ / "t";
  const auto lines = [&] {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  };
  EXPECT_EQ(ask({"cache", "record", "hot", "--output", file, "--requests", "3"}), 0) << err_;
  EXPECT_EQ(lines(), "0,R,0,512\n1,W,0,512\n0,R,0,512\n");
  EXPECT_EQ(out_, "3 requests, 2 were too fast to be taken down\n");
  EXPECT_EQ(asked, (std::vector<std::string>{"start", "fetch", "fetch", "stop"}));
  asked.clear();
  EXPECT_EQ(ask({"cache", "record", "hot", "--output", file, "--seconds", "0", "--json"}), 0);
  EXPECT_EQ(json::parse(out_)["requests"], 2);
  EXPECT_EQ(asked, (std::vector<std::string>{"start", "stop"}));
  EXPECT_EQ(ask({"cache", "record", "cold", "--output", file}), 1);
  EXPECT_EQ(ask({"cache", "record", "hot"}), 1);
  EXPECT_EQ(ask({"cache", "record", "hot", "--output", "/nonexistent/t"}), 1);
}

TEST_F(cli, knows_the_names_of_what_runs) {
  answer_with([](const std::string&, const json&) -> result<json> {
    return json{{"units", {{{"name", "vm1"}}, {{"name", "scratch"}}}},
                {"stores", {{{"name", "hot"}}}},
                {"targets", {{{"sessions", {{{"id", 17}}}}}, {{"name", "none"}}}}};
  });
  ::setenv("SLUICE_CONTROL", socket().c_str(), 1);
  for (const auto& [kind, names] : std::vector<std::pair<std::string, std::string>>{
           {"UNIT", "vm1\nscratch\n"}, {"STORE", "hot\n"}, {"ID", "17\n"}, {"FILE", ""}}) {
    EXPECT_EQ(run({"complete-names", kind}), 0);
    EXPECT_EQ(out_, names);
  }
  server_.reset();
  EXPECT_EQ(run({"complete-names", "UNIT"}), 0);
  EXPECT_EQ(out_ + err_, "");
  ::unsetenv("SLUICE_CONTROL");
}

TEST_F(cli, explains_a_command_that_help_names) {
  EXPECT_EQ(run({"session", "kick", "--help"}), 0);
  const std::string wanted = out_;
  EXPECT_EQ(run({"help", "session", "kick"}), 0);
  EXPECT_EQ(out_, wanted);
  EXPECT_EQ(run({"help"}), 0);
  EXPECT_THAT(out_, HasSubstr("Every command explains itself"));
}

/// SLUICE_GOLDEN=write in the environment rewrites the page.
TEST_F(cli, has_the_manual_that_the_repository_holds) {
  const std::string path = "../../docs/man/sluice.1.md";
  if (std::getenv("SLUICE_GOLDEN") != nullptr) std::ofstream(path) << manual_page(hooks_);
  std::ostringstream page;
  page << std::ifstream(path).rdbuf();
  EXPECT_EQ(page.str(), manual_page(hooks_));
}

TEST_F(cli, has_manuals_that_man_renders) {
  for (const auto& [words, title, parts] :
       std::vector<std::tuple<std::vector<std::string>, std::string, std::vector<std::string>>>{
           {{"man"}, ".TH sluice 1 ", {".SS sluice session kick [ID]\n.PP\n", ".TP\n\\fB\\-\\-json\\fR\n"}},
           {{"man", "sluice.toml"},
            ".TH sluice.toml 5 ",
            {".SS A store with \\fBtype = \"cache\"\\fR\n.PP\nBeside \\fBtype\\fR.\n",
             ".TP\n\\fBflash.path\\fR\nthe file. Takes a path\n",
             ".TP\n\\fBpath\\fR\nthe file or device. Takes a path; required\n"}}}) {
    EXPECT_EQ(run(words), 0);
    EXPECT_THAT(out_, StartsWith(title));
    for (const std::string& part : parts) EXPECT_THAT(out_, HasSubstr(part));
    std::istringstream lines(out_);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_THAT(line, Not(HasSubstr("`")));
      if (!line.starts_with('.')) continue;
      EXPECT_THAT(line.substr(0, 3), AnyOf(".TH", ".SH", ".SS", ".PP", ".TP")) << line;
    }
  }
  EXPECT_EQ(run({"man", "slucie"}), 1);
  EXPECT_EQ(err_, "sluice: there is no manual \"slucie\", did you mean \"sluice\"?; sluice or sluice.toml\n");
}

}  // namespace

}  // namespace sluice::config
