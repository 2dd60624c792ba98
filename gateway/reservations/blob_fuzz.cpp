#include <string>

#include "actors/base/check.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/crc.hpp"
#include "gateway/reservations/blob.hpp"

namespace reservations = sluice::reservations;
namespace wire = sluice::wire;

/// Any octets give a state or an error; a state survives the way back. The checksum is repaired for the second try,
/// else the fuzzer would never get past it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string blob(reinterpret_cast<const char*>(data), size);
  (void)reservations::parse(blob);
  std::uint8_t crc[4];
  wire::store32(crc, 0, wire::crc32c(sluice::as_bytes(blob)));
  blob.append(sluice::as_text(crc));
  const sluice::result<reservations::state> parsed = reservations::parse(blob);
  if (parsed) SLUICE_CHECK(*reservations::parse(reservations::serialise(*parsed)) == *parsed);
  return 0;
}
