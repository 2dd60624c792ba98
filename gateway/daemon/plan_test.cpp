#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "actors/observe/log.hpp"
#include "gateway/daemon/known_types.hpp"
#include "gateway/daemon/service.hpp"

// Plan and apply as the control socket asks for them, of files, with the real fabric and real stores: what one refuses,
// the other refuses in the same words, and what is refused changes nothing.
namespace sluice::daemon {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// A TCP port of loopback that somebody else listens on, or nobody any more.
class socket_address {
 public:
  explicit socket_address(bool listens) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof any;
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&any), size), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&any), &size), 0);
    text_ = "127.0.0.1:" + std::to_string(ntohs(any.sin_port));
    if (listens)
      EXPECT_EQ(::listen(fd_, 1), 0);
    else
      close();
  }
  ~socket_address() { close(); }
  socket_address(const socket_address&) = delete;
  socket_address& operator=(const socket_address&) = delete;
  const std::string& text() const { return text_; }

 private:
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  int fd_;
  std::string text_;
};

/// Writes files such as an operator's, with mistakes and with things that cannot be had.
class some_file {
 public:
  some_file(std::uint64_t seed, fs::path folder) : chance_(seed), folder_(std::move(folder)), busy_(true) {
    for (int i = 0; i < 3; ++i) free_.push_back(socket_address(false).text());
    std::ofstream(folder_ / "empty");
    std::ofstream(folder_ / "small") << std::string(512 * 1024, 's');
    std::ofstream(folder_ / "flash-of-another") << std::string(64 * 1024, 'x');
  }

  std::string make() {
    units_.clear();
    std::string text = "[gateway]\nreactors = 2\nlog_level = \"" + std::string(one_in(2) ? "info" : "error") + "\"\n";
    for (const char* name : {"a", "b", "c"})
      if (!one_in(3)) text += store(name);
    for (const char* name : {"one", "two"})
      if (!one_in(4)) text += target(name);
    return text;
  }

 private:
  bool one_in(unsigned n) { return chance_() % n == 0; }
  std::string quoted(const fs::path& path) const { return "\"" + path.string() + "\""; }

  std::string store(const std::string& name) {
    std::string text = "[store." + name + "]\n";
    const std::string size = one_in(2) ? "1MiB" : one_in(8) ? "1000B" : "2MiB";
    if (one_in(3)) {
      text += "type = \"ram\"\nsize = \"" + size + "\"\n";
    } else {
      fs::path path = folder_ / name;
      if (one_in(8)) path = folder_ / "a";
      if (one_in(16)) path = folder_ / "nowhere" / name;
      if (one_in(16)) path = folder_ / "empty";
      if (one_in(16)) path = folder_;
      const bool small = one_in(12);
      text += "type = \"file\"\npath = " + quoted(small ? folder_ / "small" : path) + "\n";
      if (small) text += "read_only = true\n";
      if (!one_in(10)) text += "size = \"" + size + "\"\n";
      if (one_in(4)) text += "deadline = \"20 s\"\n";
    }
    std::string top = name;
    if (one_in(4)) {
      text += "[store." + name + "-fault]\ntype = \"fault\"\nover = \"" + top + "\"\n";
      if (one_in(2)) text += "delay = \"1 ms\"\n";
      top = name + "-fault";
    }
    if (one_in(3)) text += tier(name, top);
    const std::string unit = one_in(6) ? name + "-unit" : name;
    text += "[unit." + unit + "]\nstore = \"" + top + "\"\n";
    if (one_in(4)) text += "read_only = true\n";
    if (one_in(4)) text += "block_size = 4096\n";
    if (one_in(6)) text += "serial = \"serial-" + name + "\"\n";
    if (one_in(8)) text += "vendor = \"ACME\"\n";
    units_.push_back(unit);
    return text;
  }

  std::string tier(const std::string& name, std::string& top) {
    std::string text = "[store." + name + "-hot]\ntype = \"cache\"\nover = \"" + top + "\"\nram = \"" +
                       (one_in(2) ? "1MiB" : "2MiB") + "\"\n";
    const bool back = one_in(2);
    if (back) text += "mode = \"write-back\"\n";
    if (one_in(2)) {
      const fs::path path = one_in(8)   ? folder_ / "nowhere" / "flash"
                            : one_in(8) ? folder_ / "flash-of-another"
                                        : folder_ / (name + "-flash");
      text += "flash.path = " + quoted(path) + "\nflash.size = \"64MiB\"\n";
    } else if (back && !one_in(8)) {
      text += "volatile_dirty = \"16MiB\"\n";
    }
    top = name + "-hot";
    return text;
  }

  std::string luns() {
    std::string text;
    for (int lun = 0; lun < 3 && !units_.empty(); ++lun)
      if (one_in(2))
        text += (text.empty() ? "" : ", ") + std::to_string(lun) + " = \"" + units_[chance_() % units_.size()] + "\"";
    return "luns = { " + text + " }\n";
  }

  std::string target(const std::string& name) {
    std::string text = "[target." + name + "]\n" + luns();
    if (one_in(4)) text += "open = true\n";
    for (const char* who : {"iqn.2026-11.io.sluice:x", "iqn.2026-11.io.sluice:y"})
      if (one_in(3)) text += "[target." + name + ".access.\"" + who + "\"]\n" + (one_in(2) ? luns() : "");
    for (int number = 0; number < 2; ++number) {
      if (one_in(3)) continue;
      std::string at = one_in(3) ? "127.0.0.1:0" : free_[chance_() % free_.size()];
      if (one_in(12)) at = busy_.text();
      if (one_in(24)) at = "192.0.2.77:3260";
      // A port's name may be another target's.
      const std::string whose = one_in(8) ? "one" : name;
      text += "[[target." + name + ".port]]\nfabric = \"iscsi\"\nname = \"iqn.2026-11.io.sluice:" + whose + "-" +
              std::to_string(number) + "\"\nlisten = [\"" + at + "\"]\ngroup = " + (one_in(4) ? "2" : "1") + "\n";
      if (one_in(4)) text += "max_burst_length = \"512KiB\"\n";
    }
    return text;
  }

  std::mt19937_64 chance_;
  const fs::path folder_;
  const socket_address busy_;
  std::vector<std::string> free_, units_;
};

/// A gateway and what the control socket asks.
struct at_work {
  explicit at_work(machine& hardware)
      : served(std::move(*gateway::make({hardware.cores(), *state, all_stores(), all_fabrics()}))),
        commands(*served, hardware, known_types(), {}) {}
  ~at_work() {
    commands.interrupt();
    commands.stop();
    served->stop();
  }
  const std::unique_ptr<state::state_store> state = state::make_memory_store();
  const std::unique_ptr<gateway> served;
  service commands;
};

class plans : public testing::Test {
 protected:
  plans() {
    observe::set_log_sink([](std::string_view) {});
    char pattern[] = "/tmp/sluice-plans-XXXXXX";
    folder_ = mkdtemp(pattern);
    machine_options how;
    how.reactors = 2;
    how.backend = reactor::backend::epoll;
    how.buffer_bytes = 16 * mib;
    machine_ = std::move(*machine::start(how));
  }
  ~plans() override {
    machine_.reset();
    fs::remove_all(folder_);
    observe::set_log_sink(nullptr);
  }

  std::string write(const std::string& text) const {
    const fs::path path = folder_ / "gateway.toml";
    std::ofstream(path) << text;
    return path.string();
  }
  struct said {
    json refused;         // a list; or the sentence that refuses the whole
    json steps;           // texts
    bool doubts = false;  // the plan says that something cannot be known before
  };
  said ask(service& at, const std::string& command, const std::string& text) const {
    const auto answer = at.handle(command, {{"file", write(text)}});
    if (!answer) return {answer.error().message, json::array(), false};
    said got{answer->at("refused"), json::array(), false};
    for (const json& step : answer->at("steps")) got.steps.push_back(step.at("text"));
    for (const json& warning : answer->at("warnings"))
      got.doubts = got.doubts || warning.at("text").get<std::string>().starts_with("cannot be known before");
    return got;
  }
  static bool refuses(const said& what) { return !what.refused.empty(); }

  /// What runs, as status shows it; figures and counts change by themselves.
  static json stands(service& at) {
    json status = *at.handle("status", json::object());
    for (json& store : status["stores"]) store.erase("figures");
    for (json& unit : status["units"]) unit.erase("commands");
    return {status["stores"], status["units"], status["targets"]};
  }

  /// Pairs of one seed: what an apply left runs, what comes next is wanted.
  void go_through(std::uint64_t seed) {
    const fs::path own = folder_ / std::to_string(seed);
    fs::create_directory(own);
    at_work here(*machine_);
    service& at = here.commands;
    some_file files(seed, own);
    std::string runs;
    for (int pair = 0; pair < 6; ++pair) {
      SCOPED_TRACE("seed " + std::to_string(seed) + ", pair " + std::to_string(pair));
      const std::string wanted = files.make();
      const json before = stands(at);
      const said plan = ask(at, "plan", wanted);
      ASSERT_EQ(stands(at), before) << "a plan changes nothing";
      const said apply = ask(at, "apply", wanted);
      ++pairs_;
      if (plan.doubts && refuses(apply) && !refuses(plan)) {
        ++unknown_;
      } else {
        ASSERT_EQ(plan.refused, apply.refused) << wanted;
      }
      if (refuses(apply)) {
        ++refused_;
        ASSERT_EQ(stands(at), before) << "refused, and yet not as it was: " << apply.refused << "\n" << wanted;
        if (runs.empty()) continue;
        const said again = ask(at, "plan", runs);
        ASSERT_TRUE(again.steps.empty() && !refuses(again)) << again.steps << again.refused << "\n" << runs;
      } else {
        ASSERT_EQ(plan.steps, apply.steps) << wanted;
        const said again = ask(at, "plan", wanted);
        ASSERT_TRUE(again.steps.empty() && !refuses(again)) << again.steps << again.refused << "\n" << wanted;
        runs = wanted;
      }
    }
  }

  fs::path folder_;
  std::unique_ptr<machine> machine_;
  int pairs_ = 0, refused_ = 0, unknown_ = 0;
};

/// SLUICE_SEEDS: how many.
TEST_F(plans, refuse_what_their_applies_refuse_and_what_is_refused_changes_nothing) {
  const char* asked = std::getenv("SLUICE_SEEDS");
  const std::uint64_t seeds = asked ? std::strtoull(asked, nullptr, 10) : 30;
  for (std::uint64_t seed = 1; seed <= seeds && !HasFatalFailure(); ++seed) go_through(seed);
  RecordProperty("pairs", pairs_);
  std::printf("%d pairs, %d refused, %d of them not to be known before\n", pairs_, refused_, unknown_);
  if (HasFatalFailure()) return;
  EXPECT_GT(refused_, pairs_ / 10);
  EXPECT_LT(refused_, pairs_ * 9 / 10);
}

TEST_F(plans, names_what_was_meant_where_nothing_of_that_name_runs) {
  at_work here(*machine_);
  service& at = here.commands;
  ASSERT_FALSE(refuses(
      ask(at, "apply", "[store.images]\ntype = \"ram\"\nsize = \"1MiB\"\n[unit.scratch]\nstore = \"images\"\n")));
  for (const auto& [command, arguments, told] : std::vector<std::tuple<std::string, json, std::string>>{
           {"pr.show", {{"unit", "scrach"}}, "no unit 'scrach', did you mean 'scratch'?"},
           {"pr.clear", {{"unit", "Scratch"}}, "no unit 'Scratch', did you mean 'scratch'?"},
           {"unit.resize", {{"unit", "scartch"}, {"size_bytes", 512}}, "no unit 'scartch', did you mean 'scratch'?"},
           {"unit.resize", {{"unit", "vm1"}, {"size_bytes", 512}}, "no unit 'vm1'"},
           {"cache.drop", {{"store", "image"}}, "no store 'image', did you mean 'images'?"}})
    EXPECT_EQ(at.handle(command, arguments).error().message, told);
  const auto odd = at.handle("cache.flsh", json::object());
  EXPECT_EQ(odd.error().code, errc::invalid_argument);
  EXPECT_TRUE(odd.error().message.starts_with("no command 'cache.flsh', did you mean 'cache.flush'?; status, plan, "))
      << odd.error().message;
}

}  // namespace
}  // namespace sluice::daemon
