#include "fabrics/vhost/message.hpp"
#include "fabrics/vhost/scsi_request.hpp"

namespace sluice::vhost {

/// Messages of a front end, and requests of a guest: whatever comes is taken apart within its bounds.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const const_bytes octets(data, size);
  if (const auto header = decode_header(octets)) {
    to_string(header->what);
    const const_bytes payload = octets.subspan(message_header::bytes);
    if (const auto table = decode_memory_table(payload))
      if (8 + table->size() * region_description::bytes != payload.size()) __builtin_trap();
    if (const auto place = decode_inflight_place(payload); place && payload.size() == inflight_place::bytes)
      if (decode_inflight_place(const_bytes(encode_reply(header->what, *place)).subspan(message_header::bytes))
              ->queue_size != place->queue_size)
        __builtin_trap();
    if (const auto state = decode_vring_state(payload))
      if (decode_vring_state(const_bytes(encode_reply(header->what, *state)).subspan(message_header::bytes))->value !=
          state->value)
        __builtin_trap();
    decode_vring_addresses(payload);
    decode_vring_descriptor(payload);
    decode_single_region(payload);
    decode_log_place(payload);
  }
  if (octets.size() >= command_header::bytes) {
    const command_header asked = decode_command(octets);
    if (asked.cdb_length() > cdb_bytes) __builtin_trap();
    if (asked.where && octets[0] == 1) {
      std::array<std::uint8_t, 8> eight{};
      encode_lun(asked.where->lun, eight);
      if (!decode_lun(eight)) __builtin_trap();
    }
  }
  decode_control(octets);
  return 0;
}

}  // namespace sluice::vhost
