#include <gmock/gmock.h>

#include "config/cli/render.hpp"
#include "config/cli/test_cli.hpp"

/// What is asked of the configuration that gateways share, and how the answers are told.
namespace sluice::config {

namespace {

using testing::HasSubstr;

const json nothing_to_do = {{"steps", json::array()}, {"refused", json::array()}, {"warnings", json::array()}};
const json one_step = {{"steps", {{{"action", "add_store"}, {"text", "+ store a: ram"}}}},
                       {"refused", json::array()},
                       {"warnings", json::array()}};

class shared_commands : public cli {
 protected:
  /// Answers everything with `answer_`, and keeps what was asked last.
  void SetUp() override {
    answer_with([this](const std::string& command, const json& arguments) -> result<json> {
      if (command == "status") return json::object();
      asked_ = {command, arguments};
      return answer_;
    });
  }
  json answer_ = json::object();
  std::pair<std::string, json> asked_;
};

TEST_F(shared_commands, apply_to_all_gateways_or_tell_who_refuses) {
  const std::string file = write("shared.toml", "");
  answer_ = {{"base", 3},
             {"version", 4},
             {"gateways", {{{"gateway", "gw-a"}, {"plan", one_step}}, {{"gateway", "gw-b"}, {"plan", nothing_to_do}}}}};
  EXPECT_EQ(ask({"apply", "--cluster", file, "--base", "3"}), 0) << err_;
  EXPECT_EQ(asked_, (std::pair<std::string, json>("config.apply", {{"file", file}, {"base", 3}})));
  EXPECT_EQ(out_, "gw-a\n  + store a: ram\ngw-b\n  nothing to change\nversion 4 is in force\n");

  answer_["gateways"][1]["problem"] = "it is not in force there yet";
  EXPECT_EQ(ask({"apply", "--cluster", file}), 1);
  EXPECT_EQ(err_, "sluice: version 4 is the newest, and gw-b goes on to try: it is not in force there yet\n");

  answer_ = {{"base", 3},
             {"refused", "gw-b: store.a: why"},
             {"gateways", {{{"gateway", "gw-b"}, {"problem", "store.a: why"}}}}};
  EXPECT_EQ(ask({"apply", "--cluster", file}), 1);
  EXPECT_EQ(out_, "gw-b\n  ! store.a: why\n");
  EXPECT_EQ(err_, "sluice: nothing was changed: gw-b: store.a: why\n");
  EXPECT_EQ(ask({"plan", "--cluster", file}), 1);
  EXPECT_EQ(asked_.first, "config.plan");

  answer_ = {{"version", 3}, {"unchanged", true}, {"gateways", json::array()}};
  EXPECT_EQ(ask({"apply", "--cluster", file}), 0);
  EXPECT_EQ(out_, "version 3 says so already\n");
}

TEST_F(shared_commands, need_a_version_where_one_is_due) {
  const std::string file = write("shared.toml", "");
  EXPECT_EQ(ask({"apply", "--cluster", file, "--base", "x"}), 1);
  EXPECT_THAT(err_, HasSubstr("--base"));
  EXPECT_EQ(ask({"apply", file, "--base", "3"}), 1) << "a gateway's own file has no versions";
  EXPECT_THAT(err_, HasSubstr("--cluster"));
  EXPECT_EQ(ask({"config", "rollback", "0"}), 1);
  EXPECT_THAT(err_, HasSubstr("is no version"));
  EXPECT_EQ(asked_.first, "");
  answer_ = {{"version", 5}, {"gateways", json::array()}};
  EXPECT_EQ(ask({"config", "rollback", "3"}), 0);
  EXPECT_EQ(asked_, (std::pair<std::string, json>("config.rollback", {{"version", 3}})));
}

TEST_F(shared_commands, tell_events_of_all_gateways) {
  answer_ = {{"events", {{{"gateway", "gw-b"}, {"number", 3}, {"time", "T"}, {"what", "info nexus: session opened"}}}},
             {"next", {{"gw-b", 4}}}};
  EXPECT_EQ(ask({"events", "--cluster"}), 0);
  EXPECT_EQ(asked_, (std::pair<std::string, json>("cluster.events", {{"since", json::object()}})));
  EXPECT_EQ(out_, "T  gw-b  info nexus: session opened\n");
}

TEST_F(shared_commands, list_versions) {
  answer_ = {{"versions",
              {{{"version", 1},
                {"made_s", 1'800'000'000},
                {"gateway", "gw-a"},
                {"origin", "apply of /etc/sluice/shared.toml"},
                {"digest", std::string(64, 'a')},
                {"bytes", 1234}}}}};
  EXPECT_EQ(ask({"config", "history"}), 0);
  EXPECT_EQ(out_,
            "VERSION  TIME                  GATEWAY  OCTETS  DIGEST        FROM\n"
            "      1  2027-01-15T08:00:00Z  gw-a       1234  aaaaaaaaaaaa  apply of /etc/sluice/shared.toml\n");
  answer_ = {{"versions", json::array()}};
  EXPECT_EQ(ask({"config", "history"}), 0);
  EXPECT_EQ(out_, "no version yet: `sluice apply --cluster FILE` makes the first\n");
}

TEST_F(shared_commands, show_what_differs) {
  answer_with([](const std::string&, const json& arguments) -> result<json> {
    const std::uint64_t version = arguments.value("version", 7);
    return json{{"version", version}, {"text", "a\n" + std::string(version == 7 ? "b\n" : "")}};
  });
  EXPECT_EQ(ask({"config", "show", "6"}), 0);
  EXPECT_EQ(out_, "a\n");
  EXPECT_EQ(ask({"config", "diff"}), 0);
  EXPECT_EQ(out_, "--- version 6\n+++ version 7\n@@ -1 +1,2 @@\n a\n+b\n");
  EXPECT_EQ(ask({"config", "diff", "5", "6"}), 0);
  EXPECT_EQ(out_, "");
  EXPECT_EQ(ask({"config", "diff", "--json"}), 0);
  EXPECT_EQ(json::parse(out_)["from"], 6);
}

TEST(rendered, the_state_of_a_cluster_has_its_configuration) {
  json status = {{"units", json::array()},
                 {"cluster",
                  {{"name", "gold"},
                   {"holds", true},
                   {"members",
                    {{{"gateway", "gw-a"}, {"id", 1}, {"self", true}, {"state", "member"}},
                     {{"gateway", "gw-b"}, {"id", 2}, {"self", false}, {"state", "member"}}}}}}};
  EXPECT_EQ(render_cluster(status),
            "cluster gold\n\nGATEWAY          ID  STATE   OWNS\n"
            "gw-a (this one)   1  member     0\ngw-b              2  member     0\n");
  status["cluster"]["configuration"] = {{"version", 4},
                                        {"newest", 4},
                                        {"health", "good"},
                                        {"gateways",
                                         {{{"gateway", "gw-a"}, {"version", 4}, {"health", "good"}},
                                          {{"gateway", "gw-b"}, {"version", 3}, {"health", "store.a: why"}}}}};
  EXPECT_EQ(render_cluster(status),
            "cluster gold, version 4 of its configuration\n\nGATEWAY          ID  STATE   OWNS  CONFIGURATION\n"
            "gw-a (this one)   1  member     0              4\ngw-b              2  member     0              3\n"
            "\ngw-b: store.a: why\n");
}

TEST_F(cli, checks_a_part_with_and_without_the_rest) {
  const std::string own = write("own.toml",
                                "[cluster]\npool = 'rbd'\n[unit.a]\nstore = 'a'\n"
                                "[[target.main.port]]\nfabric = 'iscsi'\nname = 'x'\nlisten = ['127.0.0.1:1']\n");
  const std::string shared = write("shared.toml", "[store.a]\ntype = 'ram'\nsize = '1MiB'\n");
  const std::string wrong = write("wrong.toml", "[store.a]\ntype = 'ram'\nsise = '1MiB'\n");
  EXPECT_EQ(run({"check", own}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("warning: " + own + ":4:9: unit.a.store: "));
  EXPECT_THAT(out_, HasSubstr("good as a part: "));
  EXPECT_EQ(run({"check", own, "--shared", shared}), 0) << err_;
  EXPECT_THAT(out_, HasSubstr(": good: "));
  EXPECT_EQ(run({"check", own, "--shared", wrong}), 2);
  EXPECT_THAT(err_, HasSubstr(wrong + ":3:1: store.a.sise: "));
  EXPECT_EQ(run({"check", own, "--shared", wrong, "--json"}), 2);
  EXPECT_EQ(json::parse(out_)["errors"][0]["file"], wrong);
  EXPECT_EQ(run({"check", own, "--shared", (directory_ / "absent").string()}), 2);
}

}  // namespace

}  // namespace sluice::config
