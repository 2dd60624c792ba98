#include "config/cli/commands.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <thread>

#include "config/cli/control_client.hpp"
#include "config/cli/manual.hpp"
#include "config/cli/misread.hpp"
#include "config/cli/render.hpp"
#include "config/schema/oddities.hpp"
#include "config/schema/quantity.hpp"

namespace sluice::config {

namespace {

using nlohmann::json;

/// Says what an option takes, as the manual does.
class own_words final : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    std::string out;
    if (option->get_items_expected_max() > 0) out += " " + option->get_type_name();
    if (!option->get_default_str().empty()) out += " (default: " + option->get_default_str() + ")";
    if (option->get_required()) out += " (required)";
    return out;
  }
};

/// Of a gateway of a cluster, what its own file does not say.
const std::string in_what_is_shared =
    "what the gateways of the cluster share says it: sluice check FILE --shared SHARED";
constexpr int apply_timeout_ms = 600'000;  // opening stores may take its time

json errors_of(const refused& r) {
  json out = json::array();
  for (const diagnostic& d : r.why)
    out.push_back({{"file", r.file_of(d)},
                   {"line", d.at.line},
                   {"column", d.at.column},
                   {"key", d.key},
                   {"problem", d.problem},
                   {"allowed", d.allowed}});
  return out;
}

}  // namespace

void show_progress(const std::string& line) {
  if (::isatty(STDERR_FILENO) != 0) std::fprintf(stderr, "\r\033[K%s", line.c_str());
}

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

std::string to_line(const json& document) {
  return document.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

std::optional<std::uint64_t> parse_number(const std::string& text, std::uint64_t most) {
  std::uint64_t out = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  const bool whole = error == std::errc{} && rest == text.data() + text.size();
  return whole && out <= most ? std::optional(out) : std::nullopt;
}

std::string absolute(const std::string& path) {
  if (path.empty()) return {};
  std::error_code ignored;
  return std::filesystem::absolute(path, ignored).lexically_normal().string();
}

command_tree::command_tree(const cli_hooks& hooks)
    : hooks_(hooks), app_(std::make_unique<CLI::App>("a user-space SCSI storage gateway", "sluice")) {
  app_->formatter(std::make_shared<own_words>());  // before there are commands, which take it over
  app_->require_subcommand(1);
  app_->set_help_flag("-h,--help", "explain the command");  // and each of its commands
  app_->set_version_flag("--version", "sluice " + hooks.version, "print the version");
  app_->footer("Every command explains itself: sluice COMMAND --help");
  add_local_commands();
  add_file_commands();
  add_looking_commands();
  add_acting_commands();
  add_cache_commands();
  add_own_commands();
  group_commands();
  // Before the command line is parsed, so that --control comes after it. CLI11 would look at the environment once for
  // each command that was not given, and all of them share the option.
  if (const char* named = std::getenv("SLUICE_CONTROL"); named && *named) options_.control = named;
}

/// What `sluice --help` lists, under headings.
void command_tree::group_commands() {
  const std::pair<const char*, std::vector<const char*>> headings[] = {
      {"Run a gateway", {"serve", "demo"}},
      {"Configure it", {"check", "plan", "apply", "config"}},
      {"See what it does", {"ls", "status", "top", "events"}},
      {"Act on it", {"session", "unit", "pr", "cluster", "cache", "state"}},
      {"About this program", {"help", "man", "completion", "version"}},
  };
  for (const auto& [heading, commands] : headings)
    for (const char* name : commands) app_->get_subcommand(name)->group(heading);
}

CLI::App* command_tree::add(CLI::App* to, const std::string& name, const std::string& what, const std::string& example,
                            std::function<int()> work) {
  CLI::App* command = to->add_subcommand(name, what);
  command->footer("Example:\n  " + example);
  command->callback([this, work = std::move(work)] { run = work; });
  return command;
}

CLI::App* command_tree::add_asking(CLI::App* to, const std::string& name, const std::string& what,
                                   const std::string& example, std::function<int()> work) {
  CLI::App* command = add(to, name, what, example, std::move(work));
  add_control(command);
  command->add_flag("--json", options_.json, "print JSON, as docs/control.md describes it");
  return command;
}

void command_tree::add_control(CLI::App* to) {
  to->add_option("--control", options_.control, "the gateway's control socket; else SLUICE_CONTROL names it")
      ->type_name("SOCKET")
      ->capture_default_str();
}

void command_tree::add_local_commands() {
  CLI::App* serve_command =
      add(app_.get(), "serve", "run a gateway in the foreground; SIGTERM stops it, SIGHUP applies the file",
          "sluice serve --config /etc/sluice/sluice.toml", [this] { return serve(); });
  serve_command->add_option("--config", options_.file, "the configuration")->required()->type_name("FILE");
  serve_command->add_option("--control", options_.control, "a control socket instead of the file's")
      ->type_name("SOCKET");

  CLI::App* demo_command =
      add(app_.get(), "demo", "run a gateway with a RAM and a file unit on loopback; no root, no file", "sluice demo",
          [this] { return demo(); });
  demo_command->add_option("--listen", options_.listen, "where it listens")
      ->type_name("ADDRESS:PORT")
      ->capture_default_str();
  demo_command->add_option("--directory", options_.directory, "for the file unit; default: a temporary one")
      ->type_name("DIR");
  demo_command->add_option("--control", options_.control, "a control socket instead of a temporary one")
      ->type_name("SOCKET");
}

void command_tree::add_own_commands() {
  CLI::App* completion = add(app_.get(), "completion", "print a script that completes this command line",
                             "sluice completion bash > /etc/bash_completion.d/sluice", [this] { return complete(); });
  completion->add_option("shell", options_.shell, "bash, zsh or fish")->required()->type_name("SHELL");
  add(app_.get(), "complete-names", "what the completion offers", "sluice complete-names UNIT",
      [this] { return complete_names(); })
      ->group("")  // hidden
      ->add_option("kind", options_.words, "UNIT, STORE, ID or GATEWAY");
  add(app_.get(), "man", "print a manual for man(1): sluice(1), or sluice.toml(5), of the configuration's keys",
      "sluice man sluice.toml | man -l -", [this] { return manual(); })
      ->add_option("page", options_.page, "sluice or sluice.toml; without one: sluice")
      ->type_name("PAGE");
  CLI::App* help_command =
      add(app_.get(), "help", "explain a command", "sluice help session kick", [this] { return help(); });
  help_command->add_option("command", options_.words, "the command; without one: all of them")->type_name("COMMAND");
  add(app_.get(), "version", "print the version", "sluice version", [this] {
    print("sluice " + hooks_.version + "\n");
    return 0;
  });
}

void command_tree::add_file_commands() {
  CLI::App* check_command = add(app_.get(), "check", "validate a configuration; needs no gateway",
                                "sluice check gateway.toml", [this] { return check(); });
  check_command->add_option("file", options_.file, "the configuration")->required()->type_name("FILE");
  check_command->add_flag("--json", options_.json, "print the errors as JSON on standard output");
  check_command
      ->add_option("--shared", options_.shared,
                   "what the gateways of the cluster share, as for apply --cluster: both are checked together")
      ->type_name("SHARED");
  check_command->add_flag(
      "--probe", options_.probe,
      "also look for files, folders, room, devices and clusters that the file names, and change nothing; "
      "for a gateway that does not run");
  for (const auto& [name, what] :
       {std::pair{"plan", "show what apply would change in the running gateway"},
        std::pair{"apply", "make the running gateway what the file says: all of it or nothing"}}) {
    CLI::App* command =
        add_asking(app_.get(), name, what,
                   std::string("sluice ") + name + " gateway.toml\n  sluice " + name + " --cluster shared.toml",
                   [this, named = std::string(name)] { return plan_or_apply(named); });
    command->add_option("file", options_.file, "the configuration")->required()->type_name("FILE");
    CLI::Option* cluster =
        command->add_flag("--cluster", options_.cluster,
                          "the file is what all gateways of the cluster share: in force on all of them, or on none");
    command
        ->add_option("--base", options_.base, "the version that the file was made from; not done when there is a newer")
        ->type_name("VERSION")
        ->needs(cluster);
  }
}

void command_tree::add_looking_commands() {
  add_asking(app_.get(), "ls", "the tree of targets, ports, units, stores and sessions", "sluice ls",
             [this] { return ask("status", json::object(), render_tree, tree_in); });
  add_asking(app_.get(), "status", "health, counts and latencies of each unit and command", "sluice status --json",
             [this] { return ask("status", json::object(), render_status); });
  CLI::App* top_command =
      add_asking(app_.get(), "top", "live rates and latencies", "sluice top --interval 2s", [this] { return top(); });
  top_command->add_option("--interval", options_.interval, "between two looks")
      ->type_name("DURATION")
      ->capture_default_str();
  top_command->add_option("--count", options_.count, "stop after so many looks; 0: never")
      ->type_name("N")
      ->capture_default_str();
  CLI::App* events_command = add_asking(app_.get(), "events", "what happened lately: logins, resets, changes",
                                        "sluice events --follow", [this] { return events(); });
  events_command->add_flag("--follow", options_.follow, "wait for more");
  events_command->add_flag("--cluster", options_.cluster, "on all gateways of the cluster, by their clocks");
}

void command_tree::add_acting_commands() {
  CLI::App* session = app_->add_subcommand("session", "sessions of initiators");
  session->require_subcommand(1);
  add_asking(session, "ls", "list the sessions, and connections without one", "sluice session ls",
             [this] { return ask("status", json::object(), render_sessions, sessions_in); });
  CLI::App* kick_command =
      add_asking(session, "kick", "end a session, or connections without one; initiators may log in again",
                 "sluice session kick 17", [this] { return kick(); });
  CLI::Option* id =
      kick_command->add_option("id", options_.session_id, "as `sluice session ls` shows it")->type_name("ID");
  CLI::Option* connection =
      kick_command->add_option("--connection", options_.connection, "a connection without a session, instead of ID")
          ->type_name("ID");
  CLI::Option* address = kick_command
                             ->add_option("--address", options_.address,
                                          "all connections of an address that have no session, instead of ID")
                             ->type_name("ADDRESS");
  id->excludes(connection)->excludes(address);
  connection->excludes(address);

  CLI::App* unit = app_->add_subcommand("unit", "logical units");
  unit->require_subcommand(1);
  CLI::App* resize_command = add_asking(unit, "resize", "change the size of a unit and its store; initiators are told",
                                        "sluice unit resize vm1 128GiB", [this] { return resize(); });
  resize_command->add_option("unit", options_.unit, "the unit")->required()->type_name("UNIT");
  resize_command->add_option("size", options_.size, "the new size")->required()->type_name("SIZE");
  resize_command->add_flag("--shrink", options_.shrink, "allow a smaller size: what lies beyond it is lost");

  CLI::App* move_command = add_asking(unit, "move", "have another gateway of the cluster own a unit",
                                      "sluice unit move vm1 --to gateway-b", [this] {
                                        return ask("unit.move", {{"unit", options_.unit}, {"to", options_.gateway}},
                                                   [](const json&) { return std::string(); });
                                      });
  move_command->add_option("unit", options_.unit, "the unit")->required()->type_name("UNIT");
  move_command->add_option("--to", options_.gateway, "the gateway that is to own it")->required()->type_name("GATEWAY");

  add_cluster_commands();
  add_config_commands();

  CLI::App* pr = app_->add_subcommand("pr", "persistent reservations");
  pr->require_subcommand(1);
  add_asking(pr, "show", "the registrations and the reservation of a unit", "sluice pr show vm1",
             [this] {
               return ask("pr.show", {{"unit", options_.unit}}, render_reservations);
             })
      ->add_option("unit", options_.unit, "the unit")
      ->required()
      ->type_name("UNIT");
  CLI::App* clear =
      add_asking(pr, "clear", "drop all registrations of a unit; its cluster must not be using them",
                 "sluice pr clear vm1 --yes", [this] {
                   if (!options_.yes) return misused("pr clear breaks the fence of a running cluster; say --yes");
                   return ask("pr.clear", {{"unit", options_.unit}}, [](const json&) { return std::string(); });
                 });
  clear->add_option("unit", options_.unit, "the unit")->required()->type_name("UNIT");
  clear->add_flag("--yes", options_.yes, "really");

  CLI::App* state = app_->add_subcommand("state", "what a gateway keeps: gateway.state_dir");
  state->require_subcommand(1);
  add(state, "repair", "make a damaged state directory one that opens, from all that can be read of it",
      "sluice state repair /var/lib/sluice", [this] { return hooks_.repair_state(absolute(options_.directory)); })
      ->add_option("directory", options_.directory, "as gateway.state_dir says; no gateway may have it open")
      ->required()
      ->type_name("DIR");
}

void command_tree::add_cache_commands() {
  CLI::App* cache = app_->add_subcommand("cache", "tiers of hot blocks: stores of type \"cache\"");
  cache->require_subcommand(1);
  add_live_cache_commands(cache);
  CLI::App* simulate_command =
      add(cache, "simulate", "how many reads of a trace a RAM tier would answer, by size; needs no gateway",
          "sluice cache simulate vm1.trace --sizes 256MiB,1GiB,4GiB", [this] { return simulate(); });
  simulate_command->add_option("trace", options_.file, "lines of TIME_US,OP,OFFSET,LENGTH; OP is R, W or D")
      ->required()
      ->type_name("TRACE");
  simulate_command
      ->add_option("--sizes", options_.sizes, "of the tier, with commas; default: eight that suit the trace")
      ->delimiter(',')
      ->type_name("SIZE,...");
  simulate_command->add_option("--mode", options_.mode, "write-through keeps what is written, write-around does not")
      ->type_name("MODE")
      ->capture_default_str();
  simulate_command
      ->add_option("--bypass", options_.bypass, "reads of a stream longer than this are not kept; 0B: all are")
      ->type_name("SIZE")
      ->capture_default_str();
  simulate_command->add_flag("--json", options_.json, "print JSON");
  add_journal_commands(cache);
}

int command_tree::simulate() {
  const std::vector<std::string> modes{"write-through", "write-around"};
  if (std::find(modes.begin(), modes.end(), options_.mode) == modes.end())
    return misused("--mode: \"" + options_.mode + "\" is not a choice" + did_you_mean(options_.mode, modes) + "; " +
                   one_of(modes));
  simulate_options how{absolute(options_.file), {}, options_.mode == "write-around", 0, options_.json};
  for (const std::string& text : options_.sizes) {
    const std::optional<std::uint64_t> size = parse_size(text);
    if (!size || *size == 0) return misused("--sizes: \"" + text + "\" is no size: " + size_spelling);
    how.sizes_bytes.push_back(*size);
  }
  const std::optional<std::uint64_t> bypass = parse_size(options_.bypass);
  if (!bypass) return misused("--bypass: \"" + options_.bypass + "\" is no size: " + size_spelling);
  how.bypass_bytes = *bypass;
  return hooks_.simulate(how);
}

int command_tree::ask(const std::string& command, const json& arguments,
                      const std::function<std::string(const json&)>& render,
                      const std::function<json(const json&)>& choose) {
  const auto answer = call_gateway(options_.control, command, arguments);
  if (!answer) return fail_with(answer.error());
  print(!options_.json ? render(*answer) : to_line(choose ? choose(*answer) : *answer));
  return 0;
}

int command_tree::serve() {
  diagnostics unsure;  // the gateway knows more, once it has joined its cluster
  loaded m = load_own_file(options_.file, hooks_.known, unsure);
  if (!m) return refuse(m.error());
  serve_options how{absolute(options_.file), std::nullopt};
  if (app_->get_subcommand("serve")->count("--control") > 0)
    m->gateway.control = *(how.control = absolute(options_.control));
  return hooks_.serve(*m, how);
}

loaded command_tree::load_checked(diagnostics& unsure) {
  if (options_.shared.empty()) return load_own_file(options_.file, hooks_.known, unsure);
  const auto shared = read_shared_file(options_.shared);
  if (!shared)
    return tl::unexpected(refused{options_.shared, {{{1, 1}, "file", shared.error().message, "a TOML file of 1 MiB"}}});
  return load_file(options_.file, *shared, hooks_.known);
}

int command_tree::check() {
  diagnostics warnings;
  loaded m = load_checked(warnings);
  for (diagnostic& each : warnings) each.allowed += (each.allowed.empty() ? "or " : "; or ") + in_what_is_shared;
  const bool is_part = !warnings.empty();
  if (m && !is_part) warnings = oddities_of(*m, hooks_.known);
  if (m && options_.probe && !is_part)
    if (diagnostics absent = hooks_.probe(*m, warnings); !absent.empty())
      m = tl::unexpected(refused{options_.file, std::move(absent)});
  sort_by_place(warnings);
  if (options_.json)
    print(to_line({{"ok", m.has_value()},
                   {"errors", m ? json::array() : errors_of(m.error())},
                   {"warnings", errors_of({options_.file, warnings, options_.shared})}}));
  if (m) {
    for (const diagnostic& each : warnings)
      if (!options_.json) print("warning: " + format(each, each.at.is_shared ? options_.shared : options_.file) + "\n");
    if (!options_.json)
      print(options_.file + (is_part ? ": good as a part: " : ": good: ") + std::to_string(m->stores.size()) +
            " stores, " + std::to_string(m->units.size()) + " units, " + std::to_string(m->targets.size()) +
            " targets\n");
    return 0;
  }
  return options_.json ? refused_status : refuse(m.error());
}

int command_tree::demo() {
  demo_options how;
  const std::optional<listen_address> listen = parse_listen_address(options_.listen);
  if (!listen) return misused("--listen \"" + options_.listen + "\" is no address: " + listen_spelling);
  how.listen = *listen;
  if (!options_.directory.empty()) how.directory = absolute(options_.directory);
  if (app_->get_subcommand("demo")->count("--control") > 0) how.control = absolute(options_.control);
  return hooks_.demo(how);
}

int command_tree::fail_with(const call_error& why) {
  return complain(why.sentence, options_.json, why.code);
}

int command_tree::misused(const std::string& sentence) {
  return complain(sentence, options_.json, "invalid_argument");
}

int command_tree::no_number(const std::string& option, const std::string& text, std::uint64_t most) {
  return misused(option + ": \"" + text + "\" is no whole number" +
                 (most == UINT64_MAX ? std::string() : " up to " + std::to_string(most)));
}

int command_tree::refuse(const refused& why) {
  if (options_.json) print(to_line({{"ok", false}, {"errors", errors_of(why)}}));
  std::fprintf(stderr, "%s\n", why.to_string().c_str());
  return refused_status;
}

int command_tree::plan_or_apply(const std::string& command) {
  if (options_.cluster) return apply_to_cluster(command);
  const auto answer = call_patiently(command, {{"file", absolute(options_.file)}});
  if (!answer) {
    // What is wrong with the file is told in full, and needs no gateway.
    diagnostics unsure;
    if (answer.error().code == "invalid_argument" || answer.error().code == "unreachable")
      if (const loaded m = load_own_file(options_.file, hooks_.known, unsure); !m) return refuse(m.error());
    fail_with(answer.error());
    return answer.error().code == "invalid_argument" ? refused_status : 1;
  }
  print(options_.json ? to_line(*answer) : render_plan(*answer));
  const json& refusals = member(*answer, "refused");
  if (refusals.empty()) return 0;
  if (command == "plan") return 1;
  return complain("nothing was changed: " + render_refusal(refusals.front()));
}

/// Tells on standard error what a command that takes its time is at.
tl::expected<json, call_error> command_tree::call_patiently(const std::string& command, const json& arguments) {
  constexpr auto look = std::chrono::seconds(2);
  auto answer = std::async(std::launch::async,
                           [&] { return call_gateway(options_.control, command, arguments, apply_timeout_ms); });
  std::string told;
  while (answer.wait_for(look) != std::future_status::ready) {
    const auto status = call_gateway(options_.control, "status", json::object());
    if (!status) continue;
    const std::string now = render_change(*status);
    if (!now.empty() && now != told) std::fprintf(stderr, "sluice: %s\n", now.c_str());
    told = now;
  }
  return answer.get();
}

int command_tree::events() {
  constexpr auto pause = std::chrono::milliseconds(500);
  json since = options_.cluster ? json::object() : json(0);
  for (;;) {
    const auto answer =
        call_gateway(options_.control, options_.cluster ? "cluster.events" : "events", {{"since", since}});
    if (!answer) return fail_with(answer.error());
    if (!options_.json)
      print(render_events(*answer));
    else if (!options_.follow)
      print(to_line(*answer));
    else
      for (const json& e : member(*answer, "events"))
        print(e.dump(-1, ' ', false, json::error_handler_t::replace) + "\n");
    if (!options_.follow) return 0;
    if (const json& next = member(*answer, "next"); next.is_number() || next.is_object()) since = next;
    std::this_thread::sleep_for(pause);
  }
}

int command_tree::kick() {
  const auto closed = [](const json& answer) {
    const json& count = member(answer, "closed");
    return count.is_number() ? "connections closed: " + count.dump() + "\n" : std::string();
  };
  const bool of_connection = !options_.connection.empty();
  if (!of_connection && !options_.address.empty())
    return ask("connection.kick", {{"address", options_.address}}, closed);
  const std::string& given = of_connection ? options_.connection : options_.session_id;
  if (given.empty())
    return misused(
        "sluice session kick needs an ID, --connection ID or --address ADDRESS; for example: sluice session kick 17");
  const std::optional<std::uint64_t> id = parse_number(given);
  if (!id)
    return misused("\"" + given + "\" is no ID of a " + (of_connection ? "connection" : "session") +
                   ": those are numbers, which sluice session ls shows");
  if (of_connection) return ask("connection.kick", {{"id", *id}}, closed);
  return ask("session.kick", {{"id", *id}}, [](const json&) { return std::string(); });
}

int command_tree::resize() {
  const std::optional<std::uint64_t> size = parse_size(options_.size);
  if (!size || *size == 0) return misused("\"" + options_.size + "\" is no size: " + size_spelling);
  return ask("unit.resize", {{"unit", options_.unit}, {"size_bytes", *size}, {"shrink", options_.shrink}},
             render_resize);
}

int command_tree::help() {
  if (const std::string odd = about_misread(*app_, options_.words); !odd.empty()) return complain(odd);
  const CLI::App* about = app_.get();
  std::string path = about->get_name();
  for (const std::string& word : options_.words) {
    const CLI::App* next = find_command(*about, word);
    if (!next) break;  // it is the command's own
    about = next;
    path += " " + word;
  }
  // Its help() would be that of the command that was chosen: of this one.
  print(about->get_formatter()->make_help(about, path, CLI::AppFormatMode::Normal));
  return 0;
}

int command_tree::manual() {
  const std::vector<std::string> pages{"sluice", "sluice.toml"};
  if (options_.page != pages[0] && options_.page != pages[1])
    return misused("there is no manual \"" + options_.page + "\"" + did_you_mean(options_.page, pages) + "; " +
                   one_of(pages));
  print(options_.page == pages[0] ? manual_for_man(hooks_) : keys_for_man(hooks_));
  return 0;
}

int command_tree::complete() {
  const std::string script = completion_script(*app_, options_.shell);
  const std::vector<std::string> shells{"bash", "zsh", "fish"};
  if (script.empty())
    return misused("there is no completion for \"" + options_.shell + "\"" + did_you_mean(options_.shell, shells) +
                   "; " + one_of(shells));
  print(script);
  return 0;
}

/// Says nothing where there is no gateway: somebody is in the middle of a line.
int command_tree::complete_names() {
  constexpr int patience_ms = 1000;
  const auto status = call_gateway(options_.control, "status", json::object(), patience_ms);
  if (status) print(names_in(*status, options_.words.empty() ? "" : options_.words.front()));
  return 0;
}

}  // namespace sluice::config
