#pragma once
#include <string>

#include "actors/base/result.hpp"
#include "gateway/scsi/mode_pages.hpp"

namespace sluice::agreement {

/// Saved mode pages as octets: a version and the flags.
std::string serialise_mode(const scsi::mode_state& mode);
/// Total: errc::corrupt for anything else.
result<scsi::mode_state> parse_mode(std::string_view blob);

}  // namespace sluice::agreement
