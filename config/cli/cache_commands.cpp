#include <chrono>
#include <fstream>
#include <thread>

#include "config/cli/commands.hpp"
#include "config/cli/control_client.hpp"
#include "config/cli/render.hpp"
#include "config/schema/quantity.hpp"

// What is asked of the caches of a running gateway.
namespace sluice::config {

using nlohmann::json;

void command_tree::add_live_cache_commands(CLI::App* cache) {
  const auto add_for_store = [&](const char* name, const char* what, const char* example, std::function<int()> work) {
    CLI::App* command = add_asking(cache, name, what, example, std::move(work));
    command->add_option("store", options_.store, "a store of type \"cache\"")->required()->type_name("STORE");
    return command;
  };
  add_for_store("drop", "forget all that a cache holds and the store below holds too; no data is lost",
                "sluice cache drop hot", [this] {
                  return ask("cache.drop", {{"store", options_.store}}, [](const json&) { return std::string(); });
                });
  add_for_store("flush", "write below all that only the cache holds, and wait until that is done",
                "sluice cache flush hot", [this] { return flush_cache(); });
  CLI::App* record =
      add_for_store("record", "write down what is asked of a cache, for `sluice cache simulate`",
                    "sluice cache record hot --output vm1.trace --seconds 600", [this] { return record_cache(); });
  record->add_option("--output", options_.output, "the trace")->required()->type_name("FILE");
  record->add_option("--seconds", options_.seconds, "for how long")->type_name("N")->capture_default_str();
  record->add_option("--requests", options_.requests, "stop after so many requests; 0: only after the time")
      ->type_name("N")
      ->capture_default_str();
}

namespace {

std::uint64_t left_of(const json& answer) {
  const json& left = member(answer, "left_bytes");
  return left.is_number_unsigned() ? left.get<std::uint64_t>() : 0;
}

}  // namespace

int command_tree::flush_cache() {
  using clock = std::chrono::steady_clock;
  constexpr auto pause = std::chrono::milliseconds(200);
  constexpr auto patience = std::chrono::seconds(60);
  json question{{"store", options_.store}};
  std::uint64_t before = 0, all = 0;
  for (clock::time_point progress = clock::now();;) {
    const auto answer = call_gateway(options_.control, "cache.flush", question);
    if (!answer) return fail_with(answer.error());
    const std::uint64_t left = left_of(*answer);
    if (!question.contains("mark")) all = left;
    show_progress(left == 0 ? "" : approximate_size(left) + " to be written");
    if (left == 0) break;
    if (left != before) progress = clock::now();
    if (clock::now() - progress > patience)
      return complain("nothing was written for a minute, " + approximate_size(left) +
                          " are left; health: " + member(*answer, "health").dump(),
                      options_.json);
    before = left;
    question["mark"] = member(*answer, "mark");
    std::this_thread::sleep_for(pause);
  }
  print(options_.json ? to_line({{"written_bytes", all}})
        : all == 0    ? "nothing to be written\n"
                      : approximate_size(all) + " written\n");
  return 0;
}

namespace {

/// The first lines of a text, at most `limit`, which is what is left to be taken.
std::string take_lines(const std::string& text, std::uint64_t& limit) {
  std::size_t end = 0;
  for (std::size_t at = 0; limit != 0 && (at = text.find('\n', end)) != std::string::npos; --limit) end = at + 1;
  return text.substr(0, end);
}

std::uint64_t count_of(const json& answer, const char* name) {
  const json& value = member(answer, name);
  return value.is_number_unsigned() ? value.get<std::uint64_t>() : 0;
}

}  // namespace

int command_tree::record_cache() {
  using clock = std::chrono::steady_clock;
  constexpr auto pause = std::chrono::milliseconds(100);
  constexpr std::uint64_t longest_record_s = 366ull * 24 * 3600;
  const std::optional<std::uint64_t> seconds = parse_number(options_.seconds, longest_record_s);
  if (!seconds) return no_number("--seconds", options_.seconds, longest_record_s);
  const std::optional<std::uint64_t> requests = parse_number(options_.requests);
  if (!requests) return no_number("--requests", options_.requests);
  std::ofstream file(options_.output, std::ios::trunc);
  if (!file) return complain(options_.output + " cannot be written", options_.json);
  const auto ask_for = [this](const char* action) {
    return call_gateway(options_.control, "cache.record", {{"store", options_.store}, {"action", action}});
  };
  if (const auto begun = ask_for("start"); !begun) return fail_with(begun.error());
  const clock::time_point end = clock::now() + std::chrono::seconds(*seconds);
  const std::uint64_t wanted = *requests == 0 ? UINT64_MAX : *requests;
  std::uint64_t left = wanted, lost = 0;
  for (bool over = false; !over;) {
    std::this_thread::sleep_for(pause);
    over = clock::now() >= end;
    const auto part = ask_for(over ? "stop" : "fetch");
    if (!part) return fail_with(part.error());
    const json& lines = member(*part, "lines");
    if (lines.is_string()) file << take_lines(lines.get<std::string>(), left);
    lost += count_of(*part, "lost");
    if (!file.flush()) return complain(options_.output + " cannot be written", options_.json);
    if (left == 0 && !over) {
      over = true;
      if (const auto stopped = ask_for("stop"); !stopped) return fail_with(stopped.error());
    }
  }
  const std::uint64_t taken = wanted - left;
  print(options_.json ? to_line({{"requests", taken}, {"lost", lost}})
                      : std::to_string(taken) + " requests" +
                            (lost == 0 ? "\n" : ", " + std::to_string(lost) + " were too fast to be taken down\n"));
  return 0;
}

}  // namespace sluice::config
