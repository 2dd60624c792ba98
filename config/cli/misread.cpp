#include "config/cli/misread.hpp"

#include "config/schema/diagnostic.hpp"

namespace sluice::config {

std::vector<const CLI::App*> commands_of(const CLI::App& group) {
  return group.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

const CLI::App* find_command(const CLI::App& group, const std::string& name) {
  for (const CLI::App* command : group.get_subcommands([](const CLI::App*) { return true; }))
    if (command->get_name() == name) return command;
  return nullptr;
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
    const std::string meant = closest(word, names);
    return "there is no command \"" + (path + " " + word).substr(1) + "\"" +
           (meant.empty() ? std::string() : ", did you mean \"" + meant + "\"?") + "; see sluice" + path + " --help";
  }
  return {};
}

}  // namespace sluice::config
