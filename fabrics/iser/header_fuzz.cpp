#include "fabrics/iscsi/pdu.hpp"
#include "fabrics/iser/header.hpp"

namespace sluice::iser {

/// Messages of an initiator, and its private data: whatever comes is taken apart within its bounds.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const const_bytes octets(data, size);
  const abilities can = decode_abilities(octets);
  if (decode_abilities(encode(can)).send_with_invalidate != can.send_with_invalidate) __builtin_trap();
  const auto m = decode(octets);
  if (!m) return 0;
  if (m->what == message::kind::hello) {
    if (hello_reply(*m)[0] >> 4 != 3) __builtin_trap();
    return 0;
  }
  if (m->pdu.size() + header_bytes != size) __builtin_trap();
  if (m->pdu.size() >= iscsi::bhs_bytes) iscsi::decode_header(m->pdu.first<iscsi::bhs_bytes>());
  return 0;
}

}  // namespace sluice::iser
