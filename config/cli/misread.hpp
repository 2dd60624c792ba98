#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace sluice::config {

/// The commands of a group that people see.
std::vector<const CLI::App*> commands_of(const CLI::App& group);
/// One of them by its name; null when there is none.
const CLI::App* find_command(const CLI::App& group, const std::string& name);

/// A sentence about the first word that stands where a command should and is none, with the one that was meant
/// perhaps; empty when all of them are commands. What follows a command that has none below it is its own.
std::string about_misread(const CLI::App& app, const std::vector<std::string>& words);

}  // namespace sluice::config
