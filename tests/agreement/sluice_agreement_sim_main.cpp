#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include "tests/agreement/scenario.hpp"

// Gateways that agree about one unit, in simulated worlds, one for each seed; stops at the first that goes wrong.
namespace sluice::agreement_sim {
namespace {

char replay_line[128];  // what to say when a check or a sanitizer ends the process

void say_replay(int signal) {
  const auto ignored = ::write(STDOUT_FILENO, replay_line, std::strlen(replay_line));
  static_cast<void>(ignored);
  std::signal(signal, SIG_DFL);
}

report run_one(std::uint64_t seed, plant bug, bool verbose, bool owned) {
  std::snprintf(replay_line, sizeof replay_line, "replay: sluice_agreement_sim --seed %llu%s%s%s\n",
                static_cast<unsigned long long>(seed), owned ? " --owned" : "", bug == plant::none ? "" : " --plant ",
                bug == plant::none ? "" : to_string(bug));
  return run(seed, bug, verbose, owned);
}

int main(int argc, char** argv) {
  CLI::App app{"sluice_agreement_sim: several gateways that serve one unit, in simulated worlds, judged"};
  std::uint64_t first = 1, count = 100, seed = 0;
  std::string bug = "none";
  auto* one = app.add_option("--seed", seed, "replay one seed, and say what happens");
  app.add_option("--first", first, "the first seed")->excludes(one);
  app.add_option("--count", count, "how many seeds")->excludes(one);
  app.add_option("--plant", bug,
                 "carry a bug: no-compare, early-effects, epoch-restarts, lost-event, dropped-attention, "
                 "unconfirmed, no-lease");
  bool owned = false;
  app.add_flag("--owned", owned, "with a unit that one gateway at a time owns");
  CLI11_PARSE(app, argc, argv);
  const auto planted = parse_plant(bug);
  if (!planted) {
    std::fprintf(stderr, "sluice_agreement_sim: no bug '%s'\n", bug.c_str());
    return 2;
  }
  for (const int signal : {SIGABRT, SIGSEGV}) std::signal(signal, say_replay);
  const bool replays = one->count() != 0;
  if (replays) first = seed, count = 1;
  const auto started = std::chrono::steady_clock::now();
  std::uint64_t epochs = 0, commands = 0;
  for (std::uint64_t n = 0; n < count; ++n) {
    const report r = run_one(first + n, *planted, replays, owned);
    epochs += r.epochs;
    commands += r.commands;
    if (r.failure.empty()) continue;
    std::printf("seed %llu: %s\n%s", static_cast<unsigned long long>(first + n), r.failure.c_str(), replay_line);
    return 1;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  std::printf("%llu seeds well, %llu commands, %llu epochs, %.1f seeds a second\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(commands),
              static_cast<unsigned long long>(epochs), static_cast<double>(count) / seconds);
  return 0;
}

}  // namespace
}  // namespace sluice::agreement_sim

int main(int argc, char** argv) {
  return sluice::agreement_sim::main(argc, argv);
}
