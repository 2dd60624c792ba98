#pragma once
#include <string>
#include <string_view>

namespace sluice::config {

/// Whether `name` may name a store, unit or target: it becomes a part of file names, metrics and key paths.
bool is_plain_name(std::string_view name);
inline constexpr const char* plain_name_spelling =
    "1 to 63 of the letters a-z A-Z, digits, '.', '_' and '-', starting with a letter or digit";

/// What is wrong with an iSCSI name; empty when nothing is. [RFC7143 4.2.7] [RFC3722]
std::string iscsi_name_problem(std::string_view name);
inline constexpr const char* iscsi_name_spelling =
    "iqn.YYYY-MM.REVERSED.DOMAIN[:ANYTHING] in lower case, eui. with 16 or naa. with 16 or 32 hexadecimal digits";

}  // namespace sluice::config
