#include "gateway/daemon/state_commands.hpp"

#include <cstdio>

#include "gateway/agreement/codec.hpp"
#include "gateway/state/local_authority.hpp"
#include "gateway/state/state_repair.hpp"

namespace sluice::daemon {

namespace {

constexpr std::string_view unit_records = "unit/";

/// What a record of a unit still tells.
std::string line_of(const std::string& unit, const std::string& stored) {
  const auto parsed = state::parse_frame(stored);
  const auto serial = parsed ? agreement::decode_identity(parsed->content) : tl::unexpected(parsed.error());
  if (!serial) return unit + ": its identity cannot be read";
  const auto whole = agreement::decode(parsed->content, parsed->epoch);
  return unit + ": serial " + *serial + (whole ? "" : "; all else cannot be read (" + whole.error().message + ")");
}

}  // namespace

int repair_state_directory(const std::string& directory) {
  const auto repaired = state::repair_state(directory);
  if (!repaired) {
    std::fprintf(stderr, "sluice: %s\n", repaired.error().message.c_str());
    return 1;
  }
  for (const auto& [key, stored] : repaired->records)
    if (key.starts_with(unit_records))
      std::printf("unit %s\n", line_of(key.substr(unit_records.size()), stored).c_str());
  std::printf("%llu octets of logs could not be read\n", static_cast<unsigned long long>(repaired->damaged_bytes));
  if (repaired->damaged_bytes > 0)
    std::printf(
        "What they held is lost: the newest reservations or saved mode pages of a unit above, or a unit that is not "
        "among them. Such a unit gets a new serial number and NAA name at the next start, unless the configuration "
        "says naa and serial.\n");
  return 0;
}

}  // namespace sluice::daemon
