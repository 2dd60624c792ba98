#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "config/cli/commands.hpp"
#include "config/cli/control_client.hpp"
#include "config/cli/rates.hpp"
#include "config/schema/quantity.hpp"

// What is looked at again and again.
namespace sluice::config {

namespace {

using nlohmann::json;
using clock = std::chrono::steady_clock;

volatile sig_atomic_t interrupted = 0;

/// The keyboard of somebody who looks on: keys come at once and are not shown, until this goes. Without a terminal
/// there are no keys.
class keyboard {
 public:
  keyboard() {
    if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0 || ::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    // Whoever ends the command by a signal wants a terminal that works, too.
    struct sigaction note {};
    note.sa_handler = [](int) { interrupted = 1; };
    for (const int each : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(each, &note, nullptr);
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    is_there_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &now) == 0;
  }
  ~keyboard() {
    if (is_there_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  keyboard(const keyboard&) = delete;
  keyboard& operator=(const keyboard&) = delete;

  /// Waits; true as soon as somebody wants to quit.
  bool quits_within(std::chrono::nanoseconds time) {
    for (const clock::time_point end = clock::now() + time;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - clock::now()).count();
      if (interrupted != 0 || left <= 0) return interrupted != 0;
      pollfd keys{is_there_ ? STDIN_FILENO : -1, POLLIN, 0};
      const int ready = ::poll(&keys, 1, static_cast<int>(std::min<decltype(left)>(left, 3'600'000)));
      if (interrupted != 0) return true;
      if (ready <= 0) continue;
      char key = 0;
      if (::read(STDIN_FILENO, &key, 1) <= 0) is_there_ = false;  // hung up; the timer goes on
      if (key == 'q' || key == 'Q') return true;
    }
  }

 private:
  termios before_{};
  bool is_there_ = false;
};

std::size_t rows_of_terminal() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

}  // namespace

int command_tree::top() {
  constexpr int patience_ms = 10'000;
  const std::optional<std::uint64_t> interval_ns = parse_duration(options_.interval);
  if (!interval_ns || *interval_ns == 0) return misused("--interval takes " + std::string(duration_spelling));
  const std::optional<std::uint64_t> max_looks = parse_number(options_.count);
  if (!max_looks) return no_number("--count", options_.count);
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  keyboard keys;
  json before;
  clock::time_point then;
  for (std::uint64_t looks = 0; *max_looks == 0 || looks <= *max_looks; ++looks) {
    if (looks > 0 && keys.quits_within(std::chrono::nanoseconds(*interval_ns))) return 0;
    auto now = call_gateway(options_.control, "status", {{"latencies", true}}, patience_ms);
    if (!now) return fail_with(now.error());
    const clock::time_point at = clock::now();
    if (looks > 0) {
      const json rates = rates_between(before, *now, std::chrono::duration<double>(at - then).count());
      if (options_.json)
        print(rates.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
      else if (terminal)
        print("\033[H\033[2J" + render_rates(rates, rows_of_terminal()));
      else
        print(render_rates(rates));
    }
    before = std::move(*now);
    then = at;
  }
  return 0;
}

}  // namespace sluice::config
