#include "fabrics/srp/iu.hpp"

namespace sluice::srp {

// The private data of a login, and an identifier as a person may write it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const const_bytes from(data, size);
  if (const auto r = decode_login(from)) {
    const auto again = encode(*r);
    const auto twice = decode_login(again);
    if (!twice || encode(*twice) != again) __builtin_trap();
  }
  (void)decode_login_response(from);
  (void)decode_login_rejection(from);
  const auto id = parse_identifier(std::string(as_text(from)));
  if (id && parse_identifier(to_text(*id)).value() != *id) __builtin_trap();
  return 0;
}

}  // namespace sluice::srp
