#include <string>

#include "actors/base/check.hpp"
#include "actors/wire/big_endian.hpp"
#include "actors/wire/crc.hpp"
#include "gateway/agreement/codec.hpp"

namespace agreement = sluice::agreement;
namespace wire = sluice::wire;

/// Any octets give a state or an error; a state survives the way back. The checksums of sections are repaired for the
/// second try, else the fuzzer would never get past them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string content(reinterpret_cast<const char*>(data), size);
  (void)agreement::decode(content, 1);
  (void)agreement::decode_identity(content);
  for (std::size_t at = 5; at + 9 <= content.size();) {
    const sluice::const_bytes all = sluice::as_bytes(content);
    const std::size_t length = wire::load32(all, at + 1);
    if (length > content.size() - at - 9) break;
    std::uint8_t crc[4];
    wire::store32(crc, 0, wire::crc32c(all.subspan(at, 5 + length)));
    content.replace(at + 5 + length, 4, sluice::as_text(crc));
    at += 9 + length;
  }
  const sluice::result<agreement::agreed> parsed = agreement::decode(content, 1);
  if (parsed) SLUICE_CHECK(*agreement::decode(agreement::encode(*parsed), 1) == *parsed);
  return 0;
}
