#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/vhost_load.hpp"

namespace {

using namespace sluice::bench;

nlohmann::ordered_json cpu(const cpu_time& used, double ios) {
  const double seconds = static_cast<double>(used.run_ns) / 1e9;
  return {{"cpu_s", seconds}, {"cpu_s_per_million", ios > 0 ? seconds / ios * 1e6 : 0.0}};
}

nlohmann::ordered_json to_json(const vhost_settings& asked, const vhost_report& r) {
  const auto ios = static_cast<double>(r.reads + r.writes);
  const auto us = [&](double fraction) { return static_cast<double>(r.latency_ns.quantile(fraction)) / 1e3; };
  nlohmann::ordered_json out{{"queues", asked.queues},
                             {"depth", asked.depth},
                             {"extent_bytes", asked.extent_bytes},
                             {"write_percent", asked.write_percent},
                             {"seconds", r.seconds},
                             {"reads", r.reads},
                             {"writes", r.writes},
                             {"errors", r.errors},
                             {"mismatches", r.mismatches},
                             {"reconnections", r.reconnections},
                             {"unit_attentions", r.attentions},
                             {"first_error", r.first_error},
                             {"iops", r.seconds > 0 ? ios / r.seconds : 0.0}};
  out["latency_us"] = {{"p50", us(0.5)}, {"p99", us(0.99)}, {"p999", us(0.999)}};
  out["client"] = cpu(r.client, ios);
  if (asked.target_pid) out["target"] = cpu(r.target, ios);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Drives a vhost port as a guest's driver does, without a guest; prints JSON."};
  vhost_settings asked;
  std::uint64_t spin_us = 0;
  app.add_option("--socket", asked.path, "the port's")->required();
  app.add_option("--lun", asked.lun)->check(CLI::Range(0, 16383))->capture_default_str();
  app.add_option("--queues", asked.queues, "of requests")->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--depth", asked.depth, "outstanding commands per queue")->check(CLI::Range(1, 256));
  app.add_option("--extent", asked.extent_bytes, "octets per command")->check(CLI::Range(512, 16 << 20));
  app.add_option("--write-percent", asked.write_percent)->check(CLI::Range(0, 100))->capture_default_str();
  app.add_option("--region", asked.region_bytes, "octets to use")->transform(CLI::AsSizeValue(false));
  app.add_option("--seconds", asked.seconds)->capture_default_str();
  app.add_option("--warm-up", asked.warm_up_seconds)->capture_default_str();
  app.add_flag("--verify", asked.verify, "compare what is read with what was written last");
  app.add_flag("--reconnect", asked.reconnects, "come back when the gateway is gone, and go on");
  app.add_option("--spin-us", spin_us, "poll so long before sleeping");
  app.add_option("--seed", asked.seed)->capture_default_str();
  app.add_option("--core", asked.core, "run on this core");
  app.add_option("--target-pid", asked.target_pid, "account the CPU time of this process");
  CLI11_PARSE(app, argc, argv);
  asked.spin_ns = spin_us * 1000;
  const auto report = run_vhost_load(asked);
  if (!report) {
    std::fprintf(stderr, "sluice-vhost-load: %s\n", report.error().message.c_str());
    return 2;
  }
  std::printf("%s\n", to_json(asked, *report).dump(1).c_str());
  return report->errors || report->mismatches ? 1 : 0;
}
