#include "config/cli/commands.hpp"

namespace sluice::config {

namespace {

struct known_words {
  std::string path;                                            // " session kick"
  std::string words;                                           // what may come next
  std::vector<std::pair<std::string, std::string>> described;  // word, help
};

void collect(std::vector<known_words>& out, const CLI::App& app, const std::string& path) {
  known_words here{path, "", {}};
  const auto add = [&here](const std::string& word, const std::string& help) {
    here.words += (here.words.empty() ? "" : " ") + word;
    here.described.emplace_back(word, help);
  };
  for (const CLI::App* command : app.get_subcommands(nullptr)) add(command->get_name(), command->get_description());
  for (const CLI::Option* option : app.get_options())
    if (!option->get_lnames().empty()) add("--" + option->get_lnames().front(), option->get_description());
  if (path == " completion") add("bash zsh fish", "");
  out.push_back(std::move(here));
  for (const CLI::App* command : app.get_subcommands(nullptr)) collect(out, *command, path + " " + command->get_name());
}

std::string bash_script(const std::vector<known_words>& all) {
  std::string paths, cases;
  for (const known_words& each : all) {
    if (!each.path.empty()) paths += (paths.empty() ? "" : "|") + ("\"" + each.path + "\"");
    cases += "    \"" + each.path + "\") words=\"" + each.words + "\" ;;\n";
  }
  return "_sluice() {\n"
         "  local path=\"\" words=\"\" word i\n"
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
         "  COMPREPLY=($(compgen -W \"$words\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
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

}  // namespace sluice::config
