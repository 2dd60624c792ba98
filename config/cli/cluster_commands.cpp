#include <chrono>
#include <thread>

#include "config/cli/commands.hpp"
#include "config/cli/render.hpp"

// What is asked of a gateway about all gateways that serve the same units.
namespace sluice::config {

using nlohmann::json;

void command_tree::add_cluster_commands() {
  CLI::App* cluster = app_->add_subcommand("cluster", "gateways that serve the same units");
  cluster->require_subcommand(1);
  add_asking(cluster, "status", "its gateways, and who owns which unit", "sluice cluster status",
             [this] { return ask("status", json::object(), render_cluster); });
  const auto add_for_gateway = [&](const char* name, const char* what, const char* example, std::function<int()> work) {
    CLI::App* command = add_asking(cluster, name, what, example, std::move(work));
    command->add_option("gateway", options_.gateway, "a gateway of the cluster, any of them")
        ->required()
        ->type_name("GATEWAY");
    return command;
  };
  const auto nothing = [](const json&) { return std::string(); };
  add_for_gateway("drain",
                  "have a gateway own no unit, and wait until others own them all; it goes on to serve its paths",
                  "sluice cluster drain gateway-b", [this] { return drain(); })
      ->add_flag("--no-wait", options_.no_wait, "do not wait until it owns none");
  add_for_gateway("undrain", "let a gateway own units again; it takes none by itself while others own them",
                  "sluice cluster undrain gateway-b", [this, nothing] {
                    return ask("cluster.undrain", {{"gateway", options_.gateway}}, nothing);
                  });
  add_for_gateway("forget", "take a gateway that is gone for good out of the list", "sluice cluster forget gateway-b",
                  [this, nothing] {
                    return ask("cluster.forget", {{"gateway", options_.gateway}}, nothing);
                  });
}

namespace {

std::size_t units_of(const json& status, const std::string& gateway) {
  std::size_t count = 0;
  for (const json& unit : member(status, "units")) count += member(unit, "owner") == gateway ? 1 : 0;
  return count;
}

}  // namespace

int command_tree::drain() {
  using clock = std::chrono::steady_clock;
  constexpr auto pause = std::chrono::milliseconds(200);
  constexpr auto patience = std::chrono::seconds(60);
  const auto begun = call_gateway(options_.control, "cluster.drain", {{"gateway", options_.gateway}});
  if (!begun) return fail_with(begun.error());
  std::size_t before = 0, left = 0;
  for (clock::time_point progress = clock::now();;) {
    const auto status = call_gateway(options_.control, "status", json::object());
    if (!status) return fail_with(status.error());
    left = units_of(*status, options_.gateway);
    if (options_.no_wait) break;
    show_progress(left == 0 ? "" : options_.gateway + " still owns " + std::to_string(left));
    if (left == 0) break;
    if (left != before) progress = clock::now();
    if (clock::now() - progress > patience)
      return complain(options_.gateway + " is drained, and has given up nothing for a minute: it still owns " +
                          std::to_string(left) + "; `sluice cluster status` shows them, its log says why",
                      options_.json);
    before = left;
    std::this_thread::sleep_for(pause);
  }
  print(options_.json ? to_line({{"owns", left}})
                      : options_.gateway + " is drained, and owns " + std::to_string(left) + "\n");
  return 0;
}

}  // namespace sluice::config
