#include "config/cli/cli.hpp"

#include <iostream>

#include "config/cli/commands.hpp"

namespace sluice::config {

namespace {

void describe(std::string& out, const CLI::App& app, const std::string& path) {
  if (!path.empty()) {
    out += "### sluice" + path;
    for (const CLI::Option* option : app.get_options())
      if (option->get_positional())
        out += " " + (option->get_required() ? option->get_type_name() : "[" + option->get_type_name() + "]");
    out += "\n\n" + app.get_description() + ".\n\n";
    for (const CLI::Option* option : app.get_options()) {
      if (option->get_positional() || option->get_lnames().front() == "help") continue;
      out += "- `--" + option->get_lnames().front();
      if (option->get_items_expected_max() > 0) out += " " + option->get_type_name();
      out += "`: " + option->get_description();
      if (!option->get_default_str().empty()) out += " (default: `" + option->get_default_str() + "`)";
      out += option->get_required() ? "; required\n" : "\n";
    }
    const std::string footer = app.get_footer();  // of a group of commands: that of the program, without an example
    if (const std::size_t example = footer.rfind("  "); example != std::string::npos)
      out += "- example: `" + footer.substr(example + 2) + "`\n";
    out += "\n";
  }
  for (const CLI::App* command : app.get_subcommands(nullptr))
    describe(out, *command, path + " " + command->get_name());
}

}  // namespace

int run_cli(int argc, const char* const* argv, const cli_hooks& hooks) {
  command_tree commands(hooks);
  try {
    commands.app().parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return commands.app().exit(wanted, std::cout, std::cerr);
  } catch (const CLI::RequiredError& problem) {
    // CLI11 misses a command before it sees that what is there is none.
    const bool is_word = argc > 1 && argv[1][0] != '-' && commands.app().get_subcommands().empty();
    return complain((is_word ? "there is no command \"" + std::string(argv[1]) + "\"" : problem.what()) +
                    "; see sluice --help");
  } catch (const CLI::ParseError& problem) {
    return complain(std::string(problem.what()) + "; see sluice --help");
  }
  return commands.run();
}

std::string manual_page(const cli_hooks& hooks) {
  command_tree commands(hooks);
  std::string out =
      "# sluice(1)\n\n"
      "## Name\n\nsluice - " +
      commands.app().get_description() +
      "\n\n"
      "## Synopsis\n\n`sluice COMMAND [OPTION...]`\n\n"
      "## Commands\n\n";
  describe(out, commands.app(), "");
  out +=
      "## Exit status\n\n"
      "- 0: done\n"
      "- 2: the configuration is refused; nothing was started or changed\n"
      "- 1: everything else, with a sentence on standard error\n\n"
      "## Environment\n\n"
      "- `SLUICE_CONTROL`: the control socket, where `--control` does not say\n"
      "- `NOTIFY_SOCKET`: where `sluice serve` tells systemd that it is ready, reloading or stopping\n\n"
      "## See also\n\n"
      "docs/configuration.md, docs/operations.md, docs/control.md\n";
  return out;
}

}  // namespace sluice::config
