#include <algorithm>

#include "config/cli/commands.hpp"
#include "config/cli/misread.hpp"

namespace sluice::config {

namespace {

struct known_words {
  std::string path;                                            // " session kick"
  std::string commands;                                        // what may come next
  std::string options;                                         // likewise
  std::string kind;                                            // of the first operand: "FILE", "UNIT"; empty: none
  std::vector<std::pair<std::string, std::string>> described;  // word, help
};

void add_word(std::string& to, const std::string& word) {
  to += (to.empty() ? "" : " ") + word;
}

void collect(std::vector<known_words>& out, const CLI::App& app, const std::string& path) {
  known_words here;
  here.path = path;
  for (const CLI::App* command : commands_of(app)) {
    add_word(here.commands, command->get_name());
    here.described.emplace_back(command->get_name(), command->get_description());
  }
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      if (here.kind.empty()) here.kind = option->get_type_name();
      continue;
    }
    const std::string name = "--" + option->get_lnames().front();
    add_word(here.options, name);
    here.described.emplace_back(name, option->get_description());
  }
  if (path == " completion") here.commands = "bash zsh fish";
  if (path == " man") here.commands = "sluice sluice.toml";
  if (path == " help") here.commands = out.front().commands;
  out.push_back(std::move(here));
  for (const CLI::App* command : commands_of(app)) collect(out, *command, path + " " + command->get_name());
}

/// Whether the running gateway knows the names of that kind.
bool is_named(const std::string& kind) {
  return kind == "UNIT" || kind == "STORE" || kind == "ID" || kind == "GATEWAY";
}

/// Options are offered to who has begun one, and where nothing else can follow; a path where nothing is offered.
std::string bash_script(const std::vector<known_words>& all) {
  std::string paths, cases;
  for (const known_words& each : all) {
    if (!each.path.empty()) paths += (paths.empty() ? "" : "|") + ("\"" + each.path + "\"");
    cases += "    \"" + each.path + "\") words=\"" + each.commands + "\" options=\"" + each.options + "\" kind=\"" +
             each.kind + "\" ;;\n";
  }
  return "_sluice() {\n"
         "  local path=\"\" words=\"\" options=\"\" kind=\"\" word i current=${COMP_WORDS[COMP_CWORD]}\n"
         "  for ((i = 1; i < COMP_CWORD; ++i)); do\n"
         "    word=${COMP_WORDS[i]}\n"
         "    case \"$path $word\" in\n"
         "      " +
         paths +
         ") path=\"$path $word\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$path\" in\n" +
         cases +
         "  esac\n"
         "  case \"$kind\" in\n"
         "    UNIT|STORE|ID) words=$(sluice complete-names \"$kind\" 2>/dev/null) ;;\n"
         "  esac\n"
         "  if [[ $current == -* || -z $words$kind ]]; then words=$options; fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _sluice sluice\n";
}

/// In single quotes; `quote` is how the shell has one within.
std::string quoted(const std::string& text, const std::string& quote) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? quote : std::string(1, c);
  return out + "'";
}

/// The function's first line is what compinit looks for in a file of its path; loaded by hand, it registers itself.
std::string zsh_script(const std::vector<known_words>& all) {
  const auto list = [](const known_words& of, bool options) {
    std::string out;
    for (const auto& [word, help] : of.described)
      if (word.starts_with("--") == options) out += (out.empty() ? "" : " ") + quoted(word + ":" + help, "'\\''");
    return out;
  };
  std::string paths, cases;
  for (const known_words& each : all) {
    if (!each.path.empty()) paths += (paths.empty() ? "" : "|") + quoted(each.path, "");
    const std::string commands = list(each, false);
    cases += "    " + quoted(each.path, "") + ") commands=(" + (commands.empty() ? each.commands : commands) +
             ") options=(" + list(each, true) + ") kind=" + quoted(each.kind, "") + " ;;\n";
  }
  return "#compdef sluice\n"
         "_sluice() {\n"
         "  local at='' kind='' i\n"
         "  local -a commands options names\n"
         "  for ((i = 2; i < CURRENT; ++i)); do\n"
         "    case \"$at ${words[i]}\" in\n"
         "      " +
         paths +
         ") at=\"$at ${words[i]}\" ;;\n"
         "    esac\n"
         "  done\n"
         "  case \"$at\" in\n" +
         cases +
         "  esac\n"
         "  if [[ $PREFIX == -* || ( $#commands -eq 0 && -z $kind ) ]]; then\n"
         "    _describe -o option options\n"
         "  elif (( $#commands )); then\n"
         "    _describe command commands\n"
         "  elif [[ $kind == (UNIT|STORE|ID|GATEWAY) ]]; then\n"
         "    names=(${(f)\"$(sluice complete-names $kind 2>/dev/null)\"})\n"
         "    compadd -a names\n"
         "  else\n"
         "    _files\n"
         "  fi\n"
         "}\n"
         "if [[ $funcstack[1] == _sluice ]]; then _sluice \"$@\"; else compdef _sluice sluice; fi\n";
}

/// Commands, then the options of each; fish completes file names by itself.
std::string fish_script(const std::vector<known_words>& all) {
  const auto fish_quoted = [](const std::string& text) { return quoted(text, "\\'"); };
  std::string paths, out;
  for (const known_words& each : all) {
    if (!each.path.empty()) paths += " " + fish_quoted(each.path);
    const std::string begin = "complete -c sluice -n " + fish_quoted("__sluice_at \"" + each.path + "\"") + " ";
    for (const auto& [word, help] : each.described) {
      const bool option = word.starts_with("--");
      out +=
          begin + (option ? "-l " + word.substr(2) : "-f -a " + fish_quoted(word)) + " -d " + fish_quoted(help) + "\n";
    }
    if (each.path == " completion" || each.path == " help") out += begin + "-f -a " + fish_quoted(each.commands) + "\n";
    if (is_named(each.kind)) out += begin + "-f -a '(sluice complete-names " + each.kind + ")'\n";
  }
  return "function __sluice_at\n"
         "  set -l at ''\n"
         "  for word in (commandline -opc)\n"
         "    if contains -- \"$at $word\"" +
         paths +
         "\n"
         "      set at \"$at $word\"\n"
         "    end\n"
         "  end\n"
         "  test \"$at\" = \"$argv[1]\"\n"
         "end\n" +
         out;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::vector<known_words> all;
  collect(all, app, "");
  if (shell == "bash") return bash_script(all);
  if (shell == "zsh") return zsh_script(all);
  if (shell == "fish") return fish_script(all);
  return {};
}

std::string names_in(const nlohmann::json& status, const std::string& kind) {
  std::string out;
  const auto add = [&out](const nlohmann::json& from, const char* list, const char* member) {
    if (!from.is_object() || !from.contains(list) || !from[list].is_array()) return;
    for (const nlohmann::json& each : from[list]) {
      if (!each.is_object() || !each.contains(member)) continue;
      const nlohmann::json& name = each[member];
      out += (name.is_string() ? name.get<std::string>() : name.dump()) + "\n";
    }
  };
  if (kind == "UNIT") add(status, "units", "name");
  if (kind == "STORE") add(status, "stores", "name");
  if (kind == "GATEWAY" && status.is_object() && status.contains("cluster"))
    add(status["cluster"], "members", "gateway");
  if (kind == "ID" && status.is_object() && status.contains("targets") && status["targets"].is_array())
    for (const nlohmann::json& target : status["targets"]) add(target, "sessions", "id");
  return out;
}

}  // namespace sluice::config
