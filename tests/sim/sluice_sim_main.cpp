#include <unistd.h>
#include <CLI/CLI.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "tests/sim/simulation.hpp"

// Runs the gateway in simulated worlds, one for each seed, and stops at the first that goes wrong.
namespace sluice::sim {
namespace {

struct arguments {
  std::uint64_t first = 1, count = 100;
  bool one = false;
  bool expect_failure = false;
  scenario_options scenario;
};

char replay_line[160];  // what to say when a SLUICE_CHECK or a sanitizer ends the process

void say_replay(int signal) {
  const auto ignored = ::write(STDOUT_FILENO, replay_line, std::strlen(replay_line));
  static_cast<void>(ignored);
  std::signal(signal, SIG_DFL);
}

void announce(std::uint64_t seed, const scenario_options& options) {
  const bool planted = options.bug != plant::none;
  std::snprintf(replay_line, sizeof replay_line, "replay: sluice_sim --seed %llu%s%s%s%s%s%s%s%s\n",
                static_cast<unsigned long long>(seed), planted ? " --plant " : "",
                planted ? to_string(options.bug) : "", options.tiers ? " --tiers" : "", options.rot ? " --rot" : "",
                options.debts ? " --debts" : "", options.hangs ? " --hangs" : "", options.frozen ? " --frozen" : "",
                options.caches ? " --caches" : "");
}

report run_one(simulation& all, std::uint64_t seed, const scenario_options& options) {
  announce(seed, options);
  try {
    return all.run(seed, options);
  } catch (const std::exception& hang) {
    // Its gateway cannot be torn down, so neither can the process be left in order.
    std::printf("seed %llu: %s\n%s", static_cast<unsigned long long>(seed), hang.what(), replay_line);
    std::fflush(stdout);
    std::_Exit(1);
  }
}

void print(std::uint64_t seed, const report& r) {
  std::printf("seed %llu: %s; %llu commands, %.3f s of virtual time, history %016llx\n",
              static_cast<unsigned long long>(seed), r.failure.empty() ? "well" : r.failure.c_str(),
              static_cast<unsigned long long>(r.commands), static_cast<double>(r.virtual_ns) / 1e9,
              static_cast<unsigned long long>(r.digest));
}

/// Returns the first seed that fails; count when none does.
int run_many(simulation& all, const arguments& a) {
  const auto started = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  };
  std::uint64_t commands = 0;
  double next_line = 5;
  for (std::uint64_t done = 0; done < a.count; ++done) {
    const report r = run_one(all, a.first + done, a.scenario);
    commands += r.commands;
    if (!r.failure.empty()) {
      print(a.first + done, r);
      std::printf("%s", replay_line);
      if (!a.expect_failure) return 1;
      std::printf("found in seed %llu of %llu\n", static_cast<unsigned long long>(done + 1),
                  static_cast<unsigned long long>(a.count));
      return 0;
    }
    if (elapsed() < next_line) continue;
    next_line = elapsed() + 5;
    std::printf("%llu of %llu seeds, %.1f a second\n", static_cast<unsigned long long>(done + 1),
                static_cast<unsigned long long>(a.count), static_cast<double>(done + 1) / elapsed());
    std::fflush(stdout);
  }
  std::printf("%llu seeds well, %llu commands, %.1f seeds a second\n", static_cast<unsigned long long>(a.count),
              static_cast<unsigned long long>(commands), static_cast<double>(a.count) / elapsed());
  return a.expect_failure ? 1 : 0;
}

int run(int argc, char** argv) {
  CLI::App app{"sluice_sim: the gateway in simulated worlds, judged"};
  arguments a;
  std::uint64_t seed = 0;
  std::string seeds, bug = "none";
  auto* one = app.add_option("--seed", seed, "replay one seed, and say what happens");
  app.add_option("--seeds", seeds, "a range of seeds, A..B")->excludes(one);
  app.add_option("--first", a.first, "the first seed")->excludes(one);
  app.add_option("--count", a.count, "how many seeds")->excludes(one);
  app.add_option("--plant", bug, "carry a bug: " + plant_names());
  app.add_flag("--debts", a.scenario.debts, "with hosts that owe the data of their writes");
  app.add_flag("--tiers", a.scenario.tiers, "with caches of all kinds over the disk");
  app.add_flag("--rot", a.scenario.rot, "with write-back caches whose flash loses what it holds")->needs("--tiers");
  app.add_flag("--caches", a.scenario.caches, "with flushes that fail, and WCE that goes on and off");
  app.add_flag("--frozen", a.scenario.frozen, "with hosts that stand still for a while")->excludes("--tiers");
  app.add_flag("--hangs", a.scenario.hangs, "with a disk that does not answer for a while")->excludes("--tiers");
  app.add_flag("--expect-failure", a.expect_failure, "succeed when some seed fails");
  CLI11_PARSE(app, argc, argv);
  const auto planted = parse_plant(bug);
  if (!planted) {
    std::fprintf(stderr, "sluice_sim: no bug '%s'\n", bug.c_str());
    return 2;
  }
  a.scenario.bug = *planted;
  if (!seeds.empty()) {
    unsigned long long from = 0, to = 0;
    if (std::sscanf(seeds.c_str(), "%llu..%llu", &from, &to) != 2 || to < from) {
      std::fprintf(stderr, "sluice_sim: --seeds wants A..B\n");
      return 2;
    }
    a.first = from;
    a.count = to - from + 1;
  }
  for (const int signal : {SIGABRT, SIGSEGV}) std::signal(signal, say_replay);
  simulation all;
  if (one->count() == 0) return run_many(all, a);
  a.scenario.verbose = true;
  const report r = run_one(all, seed, a.scenario);
  print(seed, r);
  return r.failure.empty() ? 0 : 1;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  return sluice::sim::run(argc, argv);
}
