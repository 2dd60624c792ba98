#include "config/cli/cli.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string_view>

#include "config/cli/commands.hpp"
#include "config/cli/misread.hpp"

namespace sluice::config {

int complain(const std::string& sentence, bool as_json, const std::string& code) {
  if (as_json) print(to_line({{"ok", false}, {"error", sentence}, {"code", code}}));
  std::fprintf(stderr, "sluice: %s\n", sentence.c_str());
  return 1;
}

int run_cli(int argc, const char* const* argv, const cli_hooks& hooks) {
  command_tree commands(hooks);
  try {
    commands.app().parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // --help, --version
    return commands.app().exit(wanted, std::cout, std::cerr);
  } catch (const CLI::ParseError&) {
    const bool as_json = std::find(argv + 1, argv + argc, std::string_view("--json")) != argv + argc;
    return complain(about_misuse(commands.app(), {argv + 1, argv + argc}), as_json, "invalid_argument");
  }
  return commands.run();
}

}  // namespace sluice::config
