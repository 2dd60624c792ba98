#pragma once
#include <string>

#include "config/cli/cli.hpp"

namespace sluice::config {

/// The manual of the whole command line, made from its description.
/// In Markdown: docs/man/sluice.1.md. A test keeps it and the command line together.
std::string manual_page(const cli_hooks& hooks);
/// For man(1), in the macros of man(7).
std::string manual_for_man(const cli_hooks& hooks);
/// Likewise, of the configuration: sluice.toml(5).
std::string keys_for_man(const cli_hooks& hooks);

}  // namespace sluice::config
