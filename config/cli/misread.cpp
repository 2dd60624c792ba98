#include "config/cli/misread.hpp"

#include <algorithm>
#include <set>

#include "config/schema/diagnostic.hpp"

namespace sluice::config {

namespace {

bool is_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && (word[1] < '0' || word[1] > '9');
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

/// "--control SOCKET", "--json", "UNIT"
std::string spelled(const CLI::Option& option) {
  if (option.get_positional()) return option.get_type_name();
  const std::string name = "--" + option.get_lnames().front();
  return takes_value(option) ? name + " " + option.get_type_name() : name;
}

std::string flag_of(const CLI::Option& option) {
  return option.get_positional() ? option.get_type_name() : "--" + option.get_lnames().front();
}

std::string all_of(const std::vector<std::string>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i)
    out += (i == 0 ? "" : i + 1 == words.size() ? " and " : ", ") + words[i];
  return out;
}

/// What one command was given, word by word, as the parser takes them.
class reading_of_words {
 public:
  /// `path`: "sluice session kick".
  reading_of_words(const CLI::App& command, std::string path) : command_(command), path_(std::move(path)) {
    for (const CLI::Option* option : command.get_options())
      (option->get_positional() ? operands_ : flags_).push_back(option);
  }

  /// Empty when nothing is wrong.
  std::string run(const std::vector<std::string>& words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      std::string wrong;
      if (words[i] == "--")
        only_operands_ = true;
      else if (!only_operands_ && is_option(words[i]))
        wrong = take_option(words, i);
      else
        wrong = take_operand(words[i]);
      if (!wrong.empty()) return wrong;
    }
    if (std::string wrong = about_company(); !wrong.empty()) return wrong;
    return about_missing();
  }

 private:
  std::string see() const { return "; see " + path_ + " --help"; }

  std::string take_option(const std::vector<std::string>& words, std::size_t& at) {
    const std::size_t equals = words[at].find('=');
    const std::string name = words[at].substr(0, equals);
    const CLI::Option* option = command_.get_option_no_throw(name);
    if (option == nullptr || option->get_positional()) return about_unknown(name);
    const bool again = !given_.insert(option).second;
    if (!takes_value(*option))
      return equals == std::string::npos ? std::string() : name + " of " + path_ + " takes no value" + see();
    if (again) return name + " is there twice" + see();
    if (equals != std::string::npos) return {};
    if (at + 1 == words.size()) return spelled(*option) + ": the " + option->get_type_name() + " is missing" + see();
    ++at;
    if (option->get_items_expected_max() > 1)
      while (at + 1 < words.size() && !is_option(words[at + 1])) ++at;
    return {};
  }

  std::string about_unknown(const std::string& name) const {
    std::vector<std::string> names;
    for (const CLI::Option* option : flags_) names.push_back(flag_of(*option));
    return "there is no option " + name + " of " + path_ + did_you_mean(name, names, "") + see();
  }

  std::string take_operand(const std::string& word) {
    for (const CLI::Option* operand : operands_) {
      if (operand->get_items_expected_max() == 1 && given_.contains(operand)) continue;
      given_.insert(operand);
      return {};
    }
    std::string usage = path_;
    for (const CLI::Option* operand : operands_) usage += " " + operand->get_type_name();
    return "\"" + word + "\" is a word too many for " + usage + see();
  }

  static bool is_among(const std::set<CLI::Option*>& some, const CLI::Option* option) {
    return std::find(some.begin(), some.end(), option) != some.end();
  }

  /// Options that do not go together, or not alone.
  std::string about_company() const {
    for (const CLI::Option* option : command_.get_options()) {
      if (!given_.contains(option)) continue;
      for (const CLI::Option* other : command_.get_options()) {
        if (is_among(option->get_excludes(), other) && given_.contains(other))
          return "either " + spelled(*option) + " or " + spelled(*other) + ", not both" + see();
        if (is_among(option->get_needs(), other) && !given_.contains(other))
          return flag_of(*option) + " needs " + spelled(*other) + " beside it" + see();
      }
    }
    return {};
  }

  std::string about_missing() const {
    std::vector<std::string> missing;
    for (const CLI::Option* option : command_.get_options())
      if (option->get_required() && !given_.contains(option)) missing.push_back(spelled(*option));
    if (missing.empty()) return {};
    return path_ + " needs " + all_of(missing) + "; for example: " + example_of(command_);
  }

  const CLI::App& command_;
  const std::string path_;
  std::vector<const CLI::Option*> operands_, flags_;
  std::set<const CLI::Option*> given_;
  bool only_operands_ = false;
};

}  // namespace

std::vector<const CLI::App*> commands_of(const CLI::App& group) {
  return group.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

const CLI::App* find_command(const CLI::App& group, const std::string& name) {
  for (const CLI::App* command : group.get_subcommands([](const CLI::App*) { return true; }))
    if (command->get_name() == name) return command;
  return nullptr;
}

std::string example_of(const CLI::App& command) {
  const std::string footer = command.get_footer();  // of a group of commands: that of the program, without an example
  const std::size_t example = footer.rfind("  ");
  return example == std::string::npos ? std::string() : footer.substr(example + 2);
}

std::string about_misread(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* group = &app;
  std::string path;
  for (const std::string& word : words) {
    const std::vector<const CLI::App*> commands = commands_of(*group);
    if (commands.empty() || word.starts_with('-')) return {};
    if (const CLI::App* next = find_command(*group, word)) {
      group = next;
      path += " " + word;
      continue;
    }
    std::vector<std::string> names;
    for (const CLI::App* command : commands) names.push_back(command->get_name());
    return "there is no command \"" + (path + " " + word).substr(1) + "\"" + did_you_mean(word, names) +
           "; see sluice" + path + " --help";
  }
  return {};
}

std::string about_misuse(const CLI::App& app, const std::vector<std::string>& words) {
  if (std::string odd = about_misread(app, words); !odd.empty()) return odd;
  const CLI::App* command = &app;
  std::string path = app.get_name();
  std::size_t at = 0;
  for (; at < words.size(); ++at) {
    const CLI::App* next = find_command(*command, words[at]);
    if (next == nullptr) break;
    command = next;
    path += " " + words[at];
  }
  if (std::string wrong =
          reading_of_words(*command, path).run({words.begin() + static_cast<std::ptrdiff_t>(at), words.end()});
      !wrong.empty())
    return wrong;
  const std::vector<const CLI::App*> commands = commands_of(*command);
  if (commands.empty()) return path + " cannot be understood as it stands; see " + path + " --help";
  if (command == &app) return "a command is missing: sluice help lists them, sluice demo shows a gateway at work";
  std::vector<std::string> names;
  for (const CLI::App* each : commands) names.push_back(each->get_name());
  return path + " needs one of its commands: " + one_of(names) + "; for example: " + example_of(*commands.front());
}

}  // namespace sluice::config
