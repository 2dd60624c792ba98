#pragma once
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/cli/cli.hpp"
#include "config/schema/test_types.hpp"
#include "gateway/control/control_server.hpp"
#include "gateway/control/views.hpp"

namespace sluice::config {

namespace fs = std::filesystem;
using nlohmann::json;

inline control::view::status some_status() {
  control::view::status out;
  out.gateway = {"gw-a", "1.2.3", 3725, {{0, "io_uring", 1.25}, {1, "io_uring", 0.5, "stands still for 3 s", 3.25}}};
  out.stores = {{"scratch", "ram", "", 1ull << 30, "good"},
                {"vm1", "rbd", "", 8ull << 30, "good"},
                {"vm1-hot", "cache", "vm1", 8ull << 30, "flash is gone"}};
  out.stores.back().figures = {
      {"dirty_bytes", 1 << 20}, {"hit_ratio", 0.934}, {"read_p99_us", 120.0}, {"stalled", false}};
  control::view::unit scratch;
  scratch.name = scratch.store = "scratch";
  scratch.size_bytes = 1ull << 30;
  scratch.block_size = 512;
  scratch.naa = "naa.6001";
  scratch.commands = {{"read", 1000, 1, 4096000, 12.5, 80, 1500, 2500000}, {"write", 0, 0, 0, 0, 0, 0, 0}};
  scratch.commands[0].attentions = 2;
  scratch.commands[0].unsupported = 3;
  control::view::unit vm1;
  vm1.name = "vm1";
  vm1.store = "vm1-hot";
  vm1.size_bytes = 8ull << 30;
  vm1.block_size = 4096;
  vm1.read_only = true;
  out.units = {scratch, vm1};
  out.targets = {{"main",
                  {{0, "vm1"}, {1, "scratch"}},
                  {{"iscsi", "iqn.2026-11.io.sluice:main", {"127.0.0.1:3260", "[::1]:3260"}, 1}},
                  {{17, "iqn.1994-05.com.example:host1,i,0x1", "127.0.0.1:50000", "main", "iqn.2026-11.io.sluice:main",
                    1, "", 61}},
                  false,
                  {{"iqn.1994-05.com.example:host1", false, {}, {{"chap.user", "host1"}}},
                   {"iqn.1994-05.com.example:host2", true, {{0, "scratch"}}, {}}}}};
  out.connections.count = 3;
  out.connections.oldest = {{5, "iscsi", "[fd00::1]:50000", "authentication", 2, 16384},
                            {8, "iscsi", "[fd00::1]:50001", "silent", 1, 0}};
  out.connections.addresses = {{"[fd00::1]", 3}};
  out.connections.refused = {{"0302", 4}};
  return out;
}

/// A command line in front of a control server whose handler the test gives.
class cli : public testing::Test {
 protected:
  cli() {
    char pattern[] = "/tmp/sluice-cli-XXXXXX";
    directory_ = mkdtemp(pattern);
    hooks_.version = "1.2.3";
    hooks_.known = types_for_tests();
    hooks_.serve = [this](const model& m, const serve_options& how) {
      served_ = m;
      how_ = how;
      return 0;
    };
    hooks_.simulate = [this](const simulate_options& how) {
      simulate_ = how;
      return 0;
    };
    hooks_.inspect_journal = hooks_.resolve_journal = [this](const journal_options& how) {
      journal_ = how;
      return 0;
    };
    hooks_.demo = [this](const demo_options& how) {
      demo_ = how;
      return 0;
    };
  }
  ~cli() override { fs::remove_all(directory_); }

  void answer_with(control::handler handle) {
    server_ = std::make_unique<control::control_server>(socket(), std::move(handle));
    ASSERT_TRUE(server_->start());
  }
  std::string socket() const { return directory_ / "s"; }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = directory_ / name;
    std::ofstream(path) << text;
    return path;
  }

  /// Runs `sluice WORDS…`; its output goes to out_ and err_.
  int run(std::vector<std::string> words) {
    std::vector<const char*> argv{"sluice"};
    for (const std::string& word : words) argv.push_back(word.c_str());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int status = run_cli(static_cast<int>(argv.size()), argv.data(), hooks_);
    out_ = testing::internal::GetCapturedStdout();
    err_ = testing::internal::GetCapturedStderr();
    return status;
  }
  int ask(std::vector<std::string> words) {
    words.insert(words.end(), {"--control", socket()});
    return run(std::move(words));
  }

  fs::path directory_;
  cli_hooks hooks_;
  std::unique_ptr<control::control_server> server_;
  std::optional<model> served_;
  std::optional<serve_options> how_;
  std::optional<demo_options> demo_;
  std::optional<simulate_options> simulate_;
  std::optional<journal_options> journal_;
  std::string out_, err_;
};

}  // namespace sluice::config
