#include <cstddef>
#include <cstdint>
#include <string_view>

#include "actors/base/check.hpp"
#include "ceph/shared/member_record.hpp"

/// What is read is written back the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::shared;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto member = parse_member(text)) SLUICE_CHECK(text_of(*member) == text);
  if (const auto seat = parse_seat(text)) SLUICE_CHECK(text_of(*seat) == text);
  if (const auto said = parse_obedience(text)) SLUICE_CHECK(text_of(*said) == text);
  return 0;
}
