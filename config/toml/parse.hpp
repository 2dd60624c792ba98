#pragma once
#include <string_view>

#include <tl/expected.hpp>

#include "config/schema/tree.hpp"

namespace sluice::config {

/// Parses TOML; what it cannot parse, or what nests deeper than max_depth (depth.hpp), is one diagnostic. Entries come
/// in the order of the file.
tl::expected<tree_table, diagnostic> parse_toml(std::string_view text);

}  // namespace sluice::config
