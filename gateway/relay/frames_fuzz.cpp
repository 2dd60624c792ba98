#include "gateway/relay/frames.hpp"

#include <algorithm>
#include <array>

namespace sluice::relay {
namespace {

/// What is taken for a body is the very one that is made of it.
template <class Decode, class Encode>
void through(const_bytes from, Decode decode, Encode encode) {
  const auto found = decode(from);
  if (!found) return;
  const octets again = encode(*found);
  if (again.size() != from.size() || !std::equal(again.begin(), again.end(), from.begin())) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const const_bytes from(data, size);
  const auto plain = [](const auto& body) { return encode(body); };
  through(from, decode_hello, plain);
  through(from, decode_open, plain);
  through(from, decode_want, plain);
  through(from, decode_room, plain);
  through(from, decode_ended, plain);
  through(from, decode_command, [](const command_body& body) {
    octets made;
    encode(body, made);
    return made;
  });
  if (size >= header_bytes)
    if (const auto h = decode_header(from)) {
      std::array<std::uint8_t, header_bytes> again{};
      encode(*h, again);
      if (!std::equal(again.begin(), again.end(), data)) __builtin_trap();
    }
  return 0;
}

}  // namespace sluice::relay
