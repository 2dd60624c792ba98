#include <algorithm>

#include "fabrics/srp/iu.hpp"

namespace sluice::srp {
namespace {

void check(const_bytes iu, const data_buffer& b) {
  std::uint64_t all = 0;
  for (const memory_descriptor& each : b.pieces) all += each.length;
  if (b.pieces.size() > max_pieces || (b.external ? all > b.length : !b.is_immediate && all != b.length))
    __builtin_trap();
  if (b.is_immediate && (b.immediate.size() != b.length || b.length > iu.size())) __builtin_trap();
}

}  // namespace

// The first octet chooses where immediate data begin; the rest is an IU, to every decoder.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const const_bytes iu(data + 1, size - 1);
  const std::uint16_t offset = data[0];
  if (const auto c = decode_command(iu, offset)) {
    check(iu, c->out);
    check(iu, c->in);
    const auto again = encode(*c, offset);
    const auto twice = decode_command(again, offset);
    if (!twice || twice->tag != c->tag || twice->out.pieces != c->out.pieces || twice->in.length != c->in.length)
      __builtin_trap();
  }
  if (const auto table = decode_table(iu, offset)) {
    std::uint64_t all = 0;
    for (const memory_descriptor& each : *table) all += each.length;
    if (all != offset) __builtin_trap();
  }
  (void)decode_task_management(iu);
  if (const auto r = decode_response(iu); r && r->sense.size() <= 252) {
    std::array<std::uint8_t, 320> to{};
    (void)encode(*r, to);
  }
  (void)decode_event(iu);
  return 0;
}

}  // namespace sluice::srp
