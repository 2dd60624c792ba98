#include "config/cli/commands.hpp"
#include "config/cli/line_diff.hpp"
#include "config/cli/render.hpp"

// The configuration that the gateways of a cluster share.
namespace sluice::config {

using nlohmann::json;

void command_tree::add_config_commands() {
  CLI::App* config = app_->add_subcommand("config", "the configuration that the gateways of a cluster share");
  config->require_subcommand(1);
  add_asking(config, "history", "the last versions: when, by which gateway, from what", "sluice config history",
             [this] { return ask("config.history", json::object(), render_history); });
  const auto add_version = [](CLI::App* to, const char* name, std::string& into, const char* what) {
    return to->add_option(name, into, what)->type_name("VERSION");
  };
  add_version(add_asking(config, "show", "print a version, as it was applied", "sluice config show > shared.toml",
                         [this] { return show_configuration(); }),
              "version", options_.version, "without one, the newest");
  CLI::App* diff = add_asking(config, "diff", "what differs between two versions", "sluice config diff 3 5",
                              [this] { return diff_configurations(); });
  add_version(diff, "from", options_.version, "without one, the newest but one");
  add_version(diff, "to", options_.other_version, "without one, the newest");
  add_version(add_asking(config, "rollback", "make an old version the newest: all gateways prepare for it, or nothing",
                         "sluice config rollback 3", [this] { return roll_back(); }),
              "version", options_.version, "as sluice config history lists it")
      ->required();
}

namespace {

std::string name_of(const json& shown) {
  return "version " + member(shown, "version").dump();
}

std::string text_of(const json& shown) {
  const json& text = member(shown, "text");
  return text.is_string() ? text.get<std::string>() : std::string();
}

}  // namespace

/// What "config.show" takes for a version that was given, or for none.
std::optional<json> command_tree::version_argument(const std::string& given) {
  if (given.empty()) return json::object();
  const std::optional<std::uint64_t> number = parse_number(given);
  if (!number || *number == 0) {
    misused("\"" + given + "\" is no version: those are numbers, which sluice config history shows");
    return std::nullopt;
  }
  return json{{"version", *number}};
}

int command_tree::show_configuration() {
  const auto which = version_argument(options_.version);
  return which ? ask("config.show", *which, text_of) : 1;
}

int command_tree::diff_configurations() {
  auto from = version_argument(options_.version), to = version_argument(options_.other_version);
  if (!from || !to) return 1;
  const auto after = call_gateway(options_.control, "config.show", *to);
  if (!after) return fail_with(after.error());
  const json& newest = member(*after, "version");
  if (from->empty() && newest.is_number_unsigned()) {
    if (newest == 1) return complain("version 1 is the first: there is nothing before it", options_.json);
    (*from)["version"] = newest.get<std::uint64_t>() - 1;
  }
  const auto before = call_gateway(options_.control, "config.show", *from);
  if (!before) return fail_with(before.error());
  const std::string shown = unified_diff(text_of(*before), text_of(*after), name_of(*before), name_of(*after));
  print(options_.json ? to_line({{"from", member(*before, "version")}, {"to", newest}, {"diff", shown}}) : shown);
  return 0;
}

int command_tree::roll_back() {
  const auto which = version_argument(options_.version);
  return which ? tell_change(call_patiently("config.rollback", *which), false) : 1;
}

int command_tree::apply_to_cluster(const std::string& command) {
  json wanted = {{"file", absolute(options_.file)}};
  if (!options_.base.empty()) {
    const std::optional<std::uint64_t> base = parse_number(options_.base);
    if (!base) return no_number("--base", options_.base);
    wanted["base"] = *base;
  }
  return tell_change(call_patiently("config." + command, wanted), command == "plan");
}

/// What became of a configuration that was asked for, and the exit status for it.
int command_tree::tell_change(const tl::expected<json, call_error>& answer, bool only_plan) {
  if (!answer) {
    fail_with(answer.error());
    return answer.error().code == "invalid_argument" ? refused_status : 1;
  }
  print(options_.json ? to_line(*answer) : render_change_of_cluster(*answer));
  if (const json& why = member(*answer, "refused"); why.is_string())
    return only_plan ? 1 : complain("nothing was changed: " + why.get<std::string>());
  for (const json& each : member(*answer, "gateways"))
    if (const json& problem = member(each, "problem"); problem.is_string() && !only_plan)
      return complain("version " + member(*answer, "version").dump() + " is the newest, and " +
                      member(each, "gateway").get<std::string>() + " goes on to try: " + problem.get<std::string>());
  return 0;
}

}  // namespace sluice::config
