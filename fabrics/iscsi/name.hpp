#pragma once
#include <string>
#include <string_view>

namespace sluice::iscsi {

/// Why a text is no iSCSI name, as the end of a sentence ("has a space"); empty when it is one: iqn., eui. or naa., 1
/// to 223 octets of UTF-8 [RFC7143 4.2.7.1, 4.2.7.2]. Characters that change how a text is shown, and controls, are
/// none. Initiators in use have names with "_", which RFC 3722 does not allow: they are taken.
std::string name_problem(std::string_view name);

/// Stricter, for names that an operator chooses for a target: iqn. with a date and an authority, eui. and naa. with the
/// right number of digits [RFC7143 4.2.7.3 to 4.2.7.6].
std::string target_name_problem(std::string_view name);

/// The spelling in which names are kept and compared: iSCSI names know no case [RFC7143 4.2.7.2, RFC3722]. Beyond ASCII
/// a name is what its sender says: it has to send it normalized.
std::string canonical_name(std::string_view name);

inline constexpr const char* target_name_spelling =
    "an iSCSI name, as in iqn.2026-11.com.example:disk1, eui.02004567a425678d or naa.52004567ba64678d";

}  // namespace sluice::iscsi
