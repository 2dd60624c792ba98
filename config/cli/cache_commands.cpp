#include <unistd.h>

#include <chrono>
#include <cstdio>
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
}

namespace {

std::uint64_t left_of(const json& answer) {
  const json& left = member(answer, "left_bytes");
  return left.is_number_unsigned() ? left.get<std::uint64_t>() : 0;
}

/// One line on a terminal, written over and over.
void show_progress(std::uint64_t left, bool over) {
  if (::isatty(STDERR_FILENO) == 0) return;
  std::fprintf(stderr, over ? "\r\033[K" : "\r\033[K%s to be written", approximate_size(left).c_str());
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
    if (!answer) return complain(answer.error().sentence);
    const std::uint64_t left = left_of(*answer);
    if (!question.contains("mark")) all = left;
    show_progress(left, left == 0);
    if (left == 0) break;
    if (left != before) progress = clock::now();
    if (clock::now() - progress > patience)
      return complain("nothing was written for a minute, " + approximate_size(left) +
                      " are left; health: " + member(*answer, "health").dump());
    before = left;
    question["mark"] = member(*answer, "mark");
    std::this_thread::sleep_for(pause);
  }
  print(options_.json ? to_line({{"written_bytes", all}})
        : all == 0    ? "nothing to be written\n"
                      : approximate_size(all) + " written\n");
  return 0;
}

}  // namespace sluice::config
