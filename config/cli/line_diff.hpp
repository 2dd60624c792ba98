#pragma once
#include <string>
#include <string_view>

namespace sluice::config {

/// What differs between two texts, in the unified form of diff(1), with three lines around each change; empty when they
/// are the same. The fewest lines that make the one of the other; where more than some thousand do, all between the
/// first and the last is one change. Pure.
std::string unified_diff(std::string_view before, std::string_view after, const std::string& name_before,
                         const std::string& name_after);

}  // namespace sluice::config
