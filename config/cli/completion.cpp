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
  if (path == " help") here.commands = out.front().commands;
  out.push_back(std::move(here));
  for (const CLI::App* command : commands_of(app)) collect(out, *command, path + " " + command->get_name());
}

/// Whether the running gateway knows the names of that kind.
bool is_named(const std::string& kind) {
  return kind == "UNIT" || kind == "STORE" || kind == "ID";
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

std::string fish_quoted(const std::string& text) {
  std::string out = "'";
  for (char c : text) (c == '\'' || c == '\\') ? (out += '\\') += c : out += c;
  return out + "'";
}

/// Commands, then the options of each; fish completes file names by itself.
std::string fish_script(const std::vector<known_words>& all) {
  std::string out;
  for (const known_words& each : all) {
    const std::string last = each.path.substr(each.path.rfind(' ') + 1);
    const std::string when = each.path.empty() ? "__fish_use_subcommand" : "__fish_seen_subcommand_from " + last;
    for (const auto& [word, help] : each.described) {
      const bool option = word.starts_with("--");
      out += "complete -c sluice -n '" + when + "' " + (option ? "-l " + word.substr(2) : "-a " + fish_quoted(word)) +
             " -d " + fish_quoted(help) + "\n";
    }
    if (is_named(each.kind))
      out += "complete -c sluice -f -n '" + when + "' -a '(sluice complete-names " + each.kind + ")'\n";
  }
  return out;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::vector<known_words> all;
  collect(all, app, "");
  if (shell == "bash") return bash_script(all);
  if (shell == "zsh") return "autoload -U +X bashcompinit && bashcompinit\n" + bash_script(all);
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
  if (kind == "ID" && status.is_object() && status.contains("targets") && status["targets"].is_array())
    for (const nlohmann::json& target : status["targets"]) add(target, "sessions", "id");
  return out;
}

}  // namespace sluice::config
