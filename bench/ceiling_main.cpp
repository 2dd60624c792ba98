#include "bench/ceiling.hpp"

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "bench/account.hpp"

namespace {
sluice::bench::ceiling* serving = nullptr;
}

int main(int argc, char** argv) {
  CLI::App app{"A null iSCSI target on loopback: what no target on a socket can beat."};
  sluice::bench::ceiling::settings asked;
  std::uint64_t spin_us = 0;
  int core = -1;
  app.add_option("--port", asked.port, "0: any free one")->capture_default_str();
  app.add_option("--size", asked.size_bytes)->transform(CLI::AsSizeValue(false))->capture_default_str();
  app.add_option("--spin-us", spin_us, "poll so long before sleeping");
  app.add_option("--core", core, "run on this core");
  CLI11_PARSE(app, argc, argv);
  asked.spin_ns = spin_us * 1000;
  auto pinned = sluice::bench::pin_to_core(core);
  auto target = pinned ? sluice::bench::ceiling::open(asked)
                       : sluice::result<std::unique_ptr<sluice::bench::ceiling>>(tl::unexpect, pinned.error());
  if (!target) {
    std::fprintf(stderr, "sluice-ceiling: %s\n", target.error().message.c_str());
    return 2;
  }
  serving = target->get();
  std::signal(SIGTERM, [](int) { serving->stop(); });
  std::signal(SIGINT, [](int) { serving->stop(); });
  std::printf("sluice-ceiling: ready on 127.0.0.1:%u as %s\n", serving->port(), sluice::bench::ceiling_name);
  std::fflush(stdout);
  serving->run();
  return 0;
}
