#include "config/cli/cli.hpp"

#include <iostream>

#include "config/cli/commands.hpp"
#include "config/cli/misread.hpp"

namespace sluice::config {

int run_cli(int argc, const char* const* argv, const cli_hooks& hooks) {
  command_tree commands(hooks);
  try {
    commands.app().parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return commands.app().exit(wanted, std::cout, std::cerr);
  } catch (const CLI::ParseError& problem) {
    // CLI11 misses a command, or has words too many, before it sees that one of them is none.
    const std::string odd = about_misread(commands.app(), {argv + 1, argv + argc});
    if (!odd.empty()) return complain(odd);
    return complain(std::string(problem.what()) + "; see sluice --help");
  }
  return commands.run();
}

}  // namespace sluice::config
