#pragma once
#include <cstddef>
#include <cstdint>
#include <tl/expected.hpp>

#include "gateway/scsi/outcome.hpp"

namespace sluice::scsi {

/// PARAMETER LIST LENGTH ERROR: a list ends within a field, or says another length than its own.
inline tl::unexpected<outcome> bad_length() {
  return tl::unexpected(outcomes::parameter_list_length_error());
}
/// INVALID FIELD IN PARAMETER LIST at `octet`, and at `bit` of it when that is below 8.
inline tl::unexpected<outcome> bad_field(std::size_t octet, std::uint8_t bit = 8) {
  return tl::unexpected(outcomes::invalid_field_in_parameter_list(static_cast<std::uint16_t>(octet), bit));
}

}  // namespace sluice::scsi
