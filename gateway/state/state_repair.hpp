#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "actors/base/result.hpp"

namespace sluice::state {

struct repaired_state {
  std::map<std::string, std::string> records;  // all that is left, by key
  std::uint64_t damaged_bytes = 0;             // of logs, that are no record any more
};
/// Makes a state directory that is damaged one that opens, from all that can be read of it; what was lost may be the
/// newest record of a unit. errc::busy: a gateway has it. Blocks.
result<repaired_state> repair_state(const std::string& directory);

}  // namespace sluice::state
