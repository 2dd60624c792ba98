#pragma once
#include <string>
#include <string_view>

#include "gateway/state/shared_configuration.hpp"

/// What lies in the object of the configuration, as octets: a version of the form, the fields, and a CRC-32C of both.
/// Texts: docs/design/cluster.md.
namespace sluice::shared {

std::string encode(const state::configuration_version& v);
std::string encode(const state::configuration_proposal& p);
std::string encode(const state::configuration_answer& a);
std::string encode(const state::configuration_state& s);

// Total: errc::corrupt for anything that encode() does not make.
result<state::configuration_version> decode_version(std::string_view from);
result<state::configuration_proposal> decode_proposal(std::string_view from);
result<state::configuration_answer> decode_answer(std::string_view from);
result<state::configuration_state> decode_state(std::string_view from);

/// SHA-256 of a text, 64 hexadecimal digits.
std::string digest_of(std::string_view text);

}  // namespace sluice::shared
