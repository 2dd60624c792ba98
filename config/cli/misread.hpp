#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace sluice::config {

/// The commands of a group that people see.
std::vector<const CLI::App*> commands_of(const CLI::App& group);
/// One of them by its name; null when there is none.
const CLI::App* find_command(const CLI::App& group, const std::string& name);
/// The line that shows how a command is used; empty for a group of commands.
std::string example_of(const CLI::App& command);

/// A sentence about the first word that stands where a command should and is none, with the one that was meant
/// perhaps; empty when all of them are commands. What follows a command that has none below it is its own.
std::string about_misread(const CLI::App& app, const std::vector<std::string>& words);

/// A sentence about words that are no command line: what is unknown, missing or too much, and where to go on. In our
/// own words, not the parser's.
std::string about_misuse(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace sluice::config
