#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "config/cli/cli.hpp"
#include "config/cli/control_client.hpp"
#include "config/toml/load.hpp"

namespace sluice::config {

/// What the options of all commands are parsed into; each command looks at its own.
struct parsed_options {
  std::string file, shared;
  std::string base, version, other_version;  // of what a cluster shares
  std::string control = "/run/sluice/control.sock";
  bool json = false;
  std::string directory, listen = "127.0.0.1:3260";
  std::string config, unit, store, size, gateway, shell, page = "sluice", interval = "1s";
  std::string mode = "write-through", bypass = "1MiB";
  std::vector<std::string> sizes, words;
  std::string output;
  std::string session_id, connection, address;
  std::string count = "0", seconds = "60", requests = "0";
  bool keep = false, discard = false;
  bool cluster = false;
  bool shrink = false, yes = false, follow = false, probe = false, no_wait = false;
};

/// The whole command line, described. A command that was chosen leaves what it does in `run`.
class command_tree {
 public:
  explicit command_tree(const cli_hooks& hooks);

  CLI::App& app() { return *app_; }
  /// The chosen command's work; returns the exit status. Empty before a successful parse.
  std::function<int()> run;

 private:
  CLI::App* add(CLI::App* to, const std::string& name, const std::string& what, const std::string& example,
                std::function<int()> work);
  CLI::App* add_asking(CLI::App* to, const std::string& name, const std::string& what, const std::string& example,
                       std::function<int()> work);
  void add_control(CLI::App* to);
  void add_local_commands();
  void add_file_commands();
  void add_looking_commands();
  void add_acting_commands();
  void add_cluster_commands();
  void add_config_commands();
  void add_cache_commands();
  void add_own_commands();
  void group_commands();
  void add_live_cache_commands(CLI::App* cache);
  void add_journal_commands(CLI::App* cache);

  int serve();
  /// The file of `check`, with what gateways share where that was given.
  loaded load_checked(diagnostics& unsure);
  int check();
  int demo();
  int plan_or_apply(const std::string& command);
  int apply_to_cluster(const std::string& command);
  int show_configuration();
  int diff_configurations();
  int roll_back();
  std::optional<nlohmann::json> version_argument(const std::string& given);
  int tell_change(const tl::expected<nlohmann::json, call_error>& answer, bool only_plan);
  tl::expected<nlohmann::json, call_error> call_patiently(const std::string& command, const nlohmann::json& arguments);
  /// Tells why the gateway did not do it, in JSON as well where that was asked for; returns 1, as the next one.
  int fail_with(const call_error& why);
  int misused(const std::string& sentence);
  int no_number(const std::string& option, const std::string& text, std::uint64_t most = UINT64_MAX);
  /// Tells what is wrong with a configuration, likewise; returns the status for that.
  int refuse(const refused& why);
  int top();
  int events();
  int kick();
  int resize();
  int help();
  int manual();
  int complete();
  int complete_names();
  int simulate();
  int ask_journal(const std::function<int(const journal_options&)>& work);
  int give_up_lost();
  int flush_cache();
  int drain();
  int record_cache();
  /// Asks the gateway; prints JSON, all of it or what `choose` takes, or what `render` makes of it.
  int ask(const std::string& command, const nlohmann::json& arguments,
          const std::function<std::string(const nlohmann::json&)>& render,
          const std::function<nlohmann::json(const nlohmann::json&)>& choose = {});

  const cli_hooks& hooks_;
  parsed_options options_;
  std::unique_ptr<CLI::App> app_;
};

/// A script for "bash", "zsh" or "fish", made from the commands of `app`; empty for another shell.
std::string completion_script(const CLI::App& app, const std::string& shell);
/// The names in what "status" answers that may stand where the command line says `kind`: lines. "UNIT", "STORE", "ID"
/// (of sessions), "GATEWAY"; empty for any other.
std::string names_in(const nlohmann::json& status, const std::string& kind);

/// A whole number, in digits and nothing else; nothing for one above `most`.
std::optional<std::uint64_t> parse_number(const std::string& text, std::uint64_t most = UINT64_MAX);

/// The exit status for a configuration that is refused.
inline constexpr int refused_status = 2;

/// Prints on standard output.
void print(const std::string& text);
/// One line on a terminal's standard error, written over and over; empty: it goes.
void show_progress(const std::string& line);
/// A document for people who asked for JSON, with its newline.
std::string to_line(const nlohmann::json& document);

/// A path as it is called wherever it is read next; empty stays so.
std::string absolute(const std::string& path);

}  // namespace sluice::config
