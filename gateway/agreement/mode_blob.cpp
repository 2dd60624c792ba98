#include "gateway/agreement/mode_blob.hpp"

namespace sluice::agreement {
namespace {
constexpr char blob_version = 1;
constexpr unsigned write_cache = 1, descriptor_sense = 2, software_write_protect = 4, task_aborted_status = 8;
}  // namespace

std::string serialise_mode(const scsi::mode_state& mode) {
  unsigned flags = 0;
  if (mode.write_cache) flags |= write_cache;
  if (mode.descriptor_sense) flags |= descriptor_sense;
  if (mode.software_write_protect) flags |= software_write_protect;
  if (mode.task_aborted_status) flags |= task_aborted_status;
  return {blob_version, static_cast<char>(flags)};
}

result<scsi::mode_state> parse_mode(std::string_view blob) {
  if (blob.size() != 2 || blob[0] != blob_version || (static_cast<unsigned char>(blob[1]) & ~0xfu) != 0)
    return fail(errc::corrupt, "saved mode pages: unknown format");
  const unsigned flags = static_cast<unsigned char>(blob[1]);
  scsi::mode_state mode;
  mode.write_cache = (flags & write_cache) != 0;
  mode.descriptor_sense = (flags & descriptor_sense) != 0;
  mode.software_write_protect = (flags & software_write_protect) != 0;
  mode.task_aborted_status = (flags & task_aborted_status) != 0;
  return mode;
}

}  // namespace sluice::agreement
