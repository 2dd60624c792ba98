#pragma once
#include <string>
#include <string_view>

namespace sluice::config {

/// Whether `name` may name a store, unit or target: it becomes a part of file names, metrics and key paths.
bool is_plain_name(std::string_view name);
inline constexpr const char* plain_name_spelling =
    "1 to 63 of the letters a-z A-Z, digits, '.', '_' and '-', starting with a letter or digit";

}  // namespace sluice::config
