#include "bench/account.hpp"

#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::bench {

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

namespace {

/// utime and stime of /proc/PID/stat: the 12th and 13th word after the parenthesis that ends the program's name.
void add_ticks(const std::filesystem::path& process, cpu_time& used) {
  std::ifstream file(process / "stat");
  std::string text(std::istreambuf_iterator<char>(file), {});
  auto name_end = text.rfind(')');
  if (name_end == std::string::npos) return;
  std::istringstream words(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) words >> skipped;
  std::uint64_t user = 0, system = 0;
  words >> user >> system;
  auto tick_ns = 1'000'000'000ull / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
  used.user_ns = user * tick_ns;
  used.system_ns = system * tick_ns;
}

}  // namespace

result<cpu_time> cpu_account(pid_t pid) {
  auto process = std::filesystem::path("/proc") / std::to_string(pid ? pid : getpid());
  std::error_code failure;
  std::filesystem::directory_iterator threads(process / "task", failure);
  if (failure) return fail(errc::not_found, "no process " + std::to_string(pid));
  cpu_time used;
  for (const auto& thread : threads) {
    std::uint64_t run = 0;
    std::ifstream(thread.path() / "schedstat") >> run;
    used.run_ns += run;
  }
  add_ticks(process, used);
  return used;
}

result<> pin_to_core(int core) {
  if (core < 0) return {};
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(core, &cores);
  if (sched_setaffinity(0, sizeof cores, &cores) != 0) return fail_errno(errno, "run on core " + std::to_string(core));
  return {};
}

}  // namespace sluice::bench
