#pragma once
#include <optional>
#include <string_view>

#include "config/schema/diagnostic.hpp"

namespace sluice::config {

/// The most tables and arrays, one in the other, that a document may have. The deepest key that means anything has six.
inline constexpr unsigned max_depth = 64;

/// Where a TOML document nests deeper than max_depth: in table headers, dotted keys, arrays and inline tables, counted
/// from the root. Looks at no more of the syntax than that takes, without recursion; what is no TOML may pass, since
/// the parser, which recurses, stops at the same place.
std::optional<place> too_deep(std::string_view text);

}  // namespace sluice::config
