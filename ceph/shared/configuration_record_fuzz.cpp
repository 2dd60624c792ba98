#include <cstddef>
#include <cstdint>
#include <string_view>

#include "actors/base/check.hpp"
#include "actors/wire/byte_record.hpp"
#include "actors/wire/crc.hpp"
#include "ceph/shared/configuration_record.hpp"

namespace {

/// What is read is written back the same.
void round(std::string_view record) {
  using namespace sluice::shared;
  if (const auto v = decode_version(record)) SLUICE_CHECK(encode(*v) == record);
  if (const auto p = decode_proposal(record)) SLUICE_CHECK(encode(*p) == record);
  if (const auto a = decode_answer(record)) SLUICE_CHECK(encode(*a) == record);
  if (const auto s = decode_state(record)) SLUICE_CHECK(encode(*s) == record);
}

}  // namespace

/// As it is, and with the checksum that a fuzzer does not find.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string record(reinterpret_cast<const char*>(data), size);
  round(record);
  sluice::wire::byte_writer<std::string>(record).put<4>(sluice::wire::crc32c({data, size}));
  round(record);
  return 0;
}
