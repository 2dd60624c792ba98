#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"

/// Messages of the vhost-user protocol as values [vhost-user: Message Specification]. Pure: no socket, no descriptor.
namespace sluice::vhost {

/// [vhost-user: Front-end message types]
enum class request : std::uint32_t {
  get_features = 1,
  set_features = 2,
  set_owner = 3,
  reset_owner = 4,
  set_mem_table = 5,
  set_log_base = 6,
  set_log_fd = 7,
  set_vring_num = 8,
  set_vring_addr = 9,
  set_vring_base = 10,
  get_vring_base = 11,
  set_vring_kick = 12,
  set_vring_call = 13,
  set_vring_err = 14,
  get_protocol_features = 15,
  set_protocol_features = 16,
  get_queue_num = 17,
  set_vring_enable = 18,
  get_inflight_fd = 31,
  set_inflight_fd = 32,
  reset_device = 34,
  get_max_mem_slots = 36,
  add_mem_reg = 37,
  rem_mem_reg = 38,
};
const char* to_string(request what);  // "SET_MEM_TABLE"; "an unknown request"

/// Bits of GET_FEATURES and SET_FEATURES.
namespace feature {
inline constexpr std::uint64_t hotplug = 1ull << 1;  // of virtio-scsi: LUNs that come and go
inline constexpr std::uint64_t change = 1ull << 2;   // of virtio-scsi: parameters that change
inline constexpr std::uint64_t log_all = 1ull << 26;
inline constexpr std::uint64_t indirect = 1ull << 28;
inline constexpr std::uint64_t event_index = 1ull << 29;
inline constexpr std::uint64_t protocol = 1ull << 30;
inline constexpr std::uint64_t version_1 = 1ull << 32;
inline constexpr std::uint64_t offered = hotplug | change | log_all | indirect | event_index | protocol | version_1;
/// What would change the layout of what we share, and was not offered: packed rings, an IOMMU, protection information.
inline constexpr std::uint64_t never = 1ull << 34 | 1ull << 33 | 1ull << 3;
}  // namespace feature

/// Bits of GET_PROTOCOL_FEATURES and SET_PROTOCOL_FEATURES.
namespace protocol_feature {
inline constexpr std::uint64_t multiple_queues = 1ull << 0;
inline constexpr std::uint64_t log_memory = 1ull << 1;
inline constexpr std::uint64_t reply_ack = 1ull << 3;
inline constexpr std::uint64_t inflight_memory = 1ull << 12;
inline constexpr std::uint64_t reset_device = 1ull << 13;
inline constexpr std::uint64_t memory_slots = 1ull << 15;
inline constexpr std::uint64_t offered =
    multiple_queues | log_memory | reply_ack | inflight_memory | reset_device | memory_slots;
}  // namespace protocol_feature

struct message_header {
  static constexpr std::size_t bytes = 12;
  static constexpr std::uint32_t max_payload_bytes = 4096;
  request what{};
  bool wants_reply = false;  // REPLY_ACK
  std::uint32_t payload_bytes = 0;
};
/// errc::invalid_argument: another version, a reply, or a longer payload than any request has.
result<message_header> decode_header(const_bytes from);

/// One region of a memory table [vhost-user: Memory region description].
struct region_description {
  static constexpr std::size_t bytes = 32;
  std::uint64_t guest_address = 0;
  std::uint64_t size = 0;          // octets
  std::uint64_t user_address = 0;  // in the front end's address space: by it rings are named
  std::uint64_t offset = 0;        // of its start in the descriptor
};

struct vring_state {
  std::uint32_t index = 0;
  std::uint32_t value = 0;  // a size, a base, or 1 for on
};
struct vring_addresses {
  std::uint32_t index = 0;
  bool logged = false;  // writes to the used ring are noted in the dirty log, from log_address on
  std::uint64_t descriptors = 0, used = 0, available = 0;  // user addresses
  std::uint64_t log_address = 0;                           // a guest address
};
/// Of SET_VRING_KICK, _CALL and _ERR.
struct vring_descriptor {
  std::uint32_t index = 0;
  bool has_descriptor = false;
};
struct log_place {
  std::uint64_t size = 0, offset = 0;
};
struct inflight_place {
  static constexpr std::size_t bytes = 24;  // with four octets of padding, as compilers lay it out
  std::uint64_t size = 0, offset = 0;
  std::uint16_t queues = 0, queue_size = 0;
};

// Payloads. errc::invalid_argument when the length or a count is wrong.
result<std::uint64_t> decode_u64(const_bytes payload);
result<vring_state> decode_vring_state(const_bytes payload);
result<vring_addresses> decode_vring_addresses(const_bytes payload);
result<vring_descriptor> decode_vring_descriptor(const_bytes payload);
result<std::vector<region_description>> decode_memory_table(const_bytes payload);
result<region_description> decode_single_region(const_bytes payload);
result<log_place> decode_log_place(const_bytes payload);
result<inflight_place> decode_inflight_place(const_bytes payload);

/// A reply: header and payload.
std::vector<std::uint8_t> encode_reply(request what, const_bytes payload);
std::vector<std::uint8_t> encode_reply(request what, std::uint64_t value);
std::vector<std::uint8_t> encode_reply(request what, const vring_state& state);
std::vector<std::uint8_t> encode_reply(request what, const inflight_place& place);

}  // namespace sluice::vhost
