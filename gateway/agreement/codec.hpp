#pragma once
#include <string>

#include "actors/base/result.hpp"
#include "gateway/agreement/agreed.hpp"

namespace sluice::agreement {

/// The agreed state as octets, without its epoch (the record has that). A magic, a version, and sections: tag 1, length
/// 4, payload, CRC32C of all three 4; each section once, the identity's first.
std::string encode(const agreed& now);

/// Total: anything but what encode() made, of this version, is errc::corrupt, with a sentence that names the section.
result<agreed> decode(std::string_view content, std::uint64_t epoch);

/// The serial alone, whatever became of the other sections: a unit whose state cannot be read must not be taken for
/// another one.
result<std::string> decode_identity(std::string_view content);

}  // namespace sluice::agreement
