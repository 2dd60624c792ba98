#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/load.hpp"

namespace {

using namespace sluice::bench;

double us(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}
double s(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

nlohmann::ordered_json to_json(const cpu_time& used, double ios) {
  return {{"cpu_s", s(used.run_ns)},
          {"user_s", s(used.user_ns)},
          {"system_s", s(used.system_ns)},
          {"cpu_s_per_million", ios > 0 ? s(used.run_ns) / ios * 1e6 : 0.0}};
}

nlohmann::ordered_json to_json(const load_settings& asked, const load_report& r) {
  auto ios = static_cast<double>(r.reads + r.writes);
  nlohmann::ordered_json out{{"sessions", asked.sessions},
                             {"depth", asked.depth},
                             {"extent_bytes", asked.extent_bytes},
                             {"write_percent", asked.write_percent},
                             {"random", asked.random},
                             {"seconds", r.seconds},
                             {"reads", r.reads},
                             {"writes", r.writes},
                             {"read_back", r.read_back},
                             {"errors", r.errors},
                             {"mismatches", r.mismatches},
                             {"first_error", r.first_error},
                             {"iops", r.seconds > 0 ? ios / r.seconds : 0.0},
                             {"mb_per_s", r.seconds > 0 ? ios * asked.extent_bytes / 1e6 / r.seconds : 0.0}};
  out["latency_us"] = {{"p50", us(r.latency_ns.quantile(0.5))},
                       {"p90", us(r.latency_ns.quantile(0.9))},
                       {"p99", us(r.latency_ns.quantile(0.99))},
                       {"p999", us(r.latency_ns.quantile(0.999))},
                       {"max", us(r.latency_ns.max())}};
  out["client"] = to_json(r.client, ios);
  if (asked.target_pid) out["target"] = to_json(r.target, ios);
  return out;
}

void add_options(CLI::App& app, load_settings& asked) {
  app.add_option("--host", asked.target.host, "address of the portal")->capture_default_str();
  app.add_option("--port", asked.target.port)->capture_default_str();
  app.add_option("--target", asked.target.name, "iSCSI name of the target")->required();
  app.add_option("--lun", asked.target.lun)->check(CLI::Range(0, 255))->capture_default_str();
  app.add_option("--initiator", asked.target.initiator)->capture_default_str();
  auto* user = app.add_option("--chap-user", asked.target.chap_user);
  app.add_option("--chap-secret", asked.target.chap_secret)->needs(user);
  app.add_option("--sessions", asked.sessions)->check(CLI::Range(1, 4096))->capture_default_str();
  app.add_option("--depth", asked.depth, "outstanding commands per session")->check(CLI::Range(1, 4096));
  app.add_option("--extent", asked.extent_bytes, "octets per command")->check(CLI::Range(512, 16 << 20));
  app.add_option("--write-percent", asked.write_percent)->check(CLI::Range(0, 100))->capture_default_str();
  app.add_flag("--sequential{false}", asked.random, "not at random");
  app.add_flag("--fua", asked.fua, "writes with force unit access");
  app.add_flag("--verify", asked.verify, "compare what is read; read all back at the end");
  app.add_option("--region", asked.region_bytes, "octets to use; 0: the whole unit")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--seconds", asked.seconds, "measured time; 0: until --count")->capture_default_str();
  app.add_option("--warm-up", asked.warm_up_seconds)->capture_default_str();
  app.add_option("--count", asked.count, "commands in all");
  app.add_option("--rate", asked.rate, "open loop: commands a second; 0: closed loop");
  app.add_option("--seed", asked.seed)->capture_default_str();
  app.add_option("--core", asked.core, "run on this core");
  app.add_option("--target-pid", asked.target_pid, "account the CPU time of this process");
}

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // a signal handler sets it

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Drives an iSCSI target as hard as one core can; prints JSON. SIGINT ends it in good order."};
  load_settings asked;
  std::uint64_t spin_us = 0;
  add_options(app, asked);
  app.add_option("--spin-us", spin_us, "poll so long before sleeping");
  CLI11_PARSE(app, argc, argv);
  asked.spin_ns = spin_us * 1000;
  asked.stop = &interrupted;
  std::signal(SIGINT, [](int) { interrupted = true; });
  auto report = run_load(asked);
  if (!report) {
    std::fprintf(stderr, "sluice-load: %s\n", report.error().message.c_str());
    return 2;
  }
  std::printf("%s\n", to_json(asked, *report).dump(1).c_str());
  return report->errors || report->mismatches ? 1 : 0;
}
