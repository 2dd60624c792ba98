#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include "actors/observe/log.hpp"
#include "tests/agreement/oracle.hpp"
#include "tests/agreement/scenario.hpp"

// Gateways that agree about one unit, in simulated worlds, one for each seed; stops at the first that goes wrong.
namespace sluice::agreement_sim {
namespace {

char replay_line[160];  // what to say when a check or a sanitizer ends the process

void say_replay(int signal) {
  const auto ignored = ::write(STDOUT_FILENO, replay_line, std::strlen(replay_line));
  static_cast<void>(ignored);
  std::signal(signal, SIG_DFL);
}

report run_one(std::uint64_t seed, const world_options& how) {
  std::snprintf(replay_line, sizeof replay_line, "replay: sluice_agreement_sim --seed %llu%s --gateways %u%s%s\n",
                static_cast<unsigned long long>(seed), how.owned ? " --owned" : "", how.gateways,
                how.bug == plant::none ? "" : " --plant ", how.bug == plant::none ? "" : to_string(how.bug));
  return run(seed, how);
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
                 "unconfirmed, no-lease; with --owned also unfenced, old-epoch, stale-cache");
  world_options how;
  app.add_flag("--owned", how.owned, "with a unit that one gateway at a time owns, over an image that is fenced");
  app.add_option("--gateways", how.gateways, "how many there are")->check(CLI::Range(2U, max_gateways));
  CLI11_PARSE(app, argc, argv);
  const auto planted = parse_plant(bug);
  if (!planted) {
    std::fprintf(stderr, "sluice_agreement_sim: no bug '%s'\n", bug.c_str());
    return 2;
  }
  for (const int signal : {SIGABRT, SIGSEGV}) std::signal(signal, say_replay);
  observe::set_log(observe::form::text, observe::level::error);  // media that do not answer are what it is about
  const bool replays = one->count() != 0;
  how.bug = *planted;
  how.verbose = replays;
  if (replays) first = seed, count = 1;
  const auto started = std::chrono::steady_clock::now();
  std::uint64_t epochs = 0, commands = 0;
  for (std::uint64_t n = 0; n < count; ++n) {
    const report r = run_one(first + n, how);
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
