#include "fabrics/vhost/message.hpp"

#include <algorithm>
#include <string>

#include "actors/wire/little_endian.hpp"

namespace sluice::vhost {
namespace {

namespace le = wire::little;

// Flags of a header: two bits of version, then these.
constexpr std::uint32_t protocol_version = 1, version_mask = 3, reply_flag = 4, need_reply_flag = 8;
// Of the u64 that comes with a vring's descriptor.
constexpr std::uint64_t index_mask = 0xff, no_descriptor_flag = 0x100;

tl::unexpected<error> wrong(const std::string& what) {
  return fail(errc::invalid_argument, what);
}

region_description region_at(const_bytes from, std::size_t at) {
  return {le::load64(from, at), le::load64(from, at + 8), le::load64(from, at + 16), le::load64(from, at + 24)};
}

}  // namespace

const char* to_string(request what) {
  switch (what) {
    case request::get_features:
      return "GET_FEATURES";
    case request::set_features:
      return "SET_FEATURES";
    case request::set_owner:
      return "SET_OWNER";
    case request::reset_owner:
      return "RESET_OWNER";
    case request::set_mem_table:
      return "SET_MEM_TABLE";
    case request::set_log_base:
      return "SET_LOG_BASE";
    case request::set_log_fd:
      return "SET_LOG_FD";
    case request::set_vring_num:
      return "SET_VRING_NUM";
    case request::set_vring_addr:
      return "SET_VRING_ADDR";
    case request::set_vring_base:
      return "SET_VRING_BASE";
    case request::get_vring_base:
      return "GET_VRING_BASE";
    case request::set_vring_kick:
      return "SET_VRING_KICK";
    case request::set_vring_call:
      return "SET_VRING_CALL";
    case request::set_vring_err:
      return "SET_VRING_ERR";
    case request::get_protocol_features:
      return "GET_PROTOCOL_FEATURES";
    case request::set_protocol_features:
      return "SET_PROTOCOL_FEATURES";
    case request::get_queue_num:
      return "GET_QUEUE_NUM";
    case request::set_vring_enable:
      return "SET_VRING_ENABLE";
    case request::get_inflight_fd:
      return "GET_INFLIGHT_FD";
    case request::set_inflight_fd:
      return "SET_INFLIGHT_FD";
    case request::reset_device:
      return "RESET_DEVICE";
    case request::get_max_mem_slots:
      return "GET_MAX_MEM_SLOTS";
    case request::add_mem_reg:
      return "ADD_MEM_REG";
    case request::rem_mem_reg:
      return "REM_MEM_REG";
  }
  return "an unknown request";
}

result<message_header> decode_header(const_bytes from) {
  if (from.size() < message_header::bytes) return wrong("a header is cut short");
  const std::uint32_t flags = le::load32(from, 4);
  if ((flags & version_mask) != protocol_version) return wrong("a message of another version of the protocol");
  if (flags & reply_flag) return wrong("a reply that nobody asked for");
  message_header h;
  h.what = static_cast<request>(le::load32(from, 0));
  h.wants_reply = (flags & need_reply_flag) != 0;
  h.payload_bytes = le::load32(from, 8);
  if (h.payload_bytes > message_header::max_payload_bytes) return wrong("a message that is too long");
  return h;
}

result<std::uint64_t> decode_u64(const_bytes payload) {
  if (payload.size() != 8) return wrong("a number has 8 octets");
  return le::load64(payload, 0);
}

result<vring_state> decode_vring_state(const_bytes payload) {
  if (payload.size() != 8) return wrong("the state of a ring has 8 octets");
  return vring_state{le::load32(payload, 0), le::load32(payload, 4)};
}

result<vring_addresses> decode_vring_addresses(const_bytes payload) {
  if (payload.size() != 40) return wrong("the addresses of a ring have 40 octets");
  vring_addresses a;
  a.index = le::load32(payload, 0);
  a.logged = (le::load32(payload, 4) & 1) != 0;
  a.descriptors = le::load64(payload, 8);
  a.used = le::load64(payload, 16);
  a.available = le::load64(payload, 24);
  a.log_address = le::load64(payload, 32);
  return a;
}

result<vring_descriptor> decode_vring_descriptor(const_bytes payload) {
  const auto word = decode_u64(payload);
  if (!word) return tl::unexpected(word.error());
  return vring_descriptor{static_cast<std::uint32_t>(*word & index_mask), (*word & no_descriptor_flag) == 0};
}

result<std::vector<region_description>> decode_memory_table(const_bytes payload) {
  if (payload.size() < 8) return wrong("a memory table is cut short");
  const std::uint32_t count = le::load32(payload, 0);
  if (payload.size() != 8 + std::uint64_t{count} * region_description::bytes)
    return wrong("a memory table has another number of regions than it says");
  std::vector<region_description> all;
  for (std::uint32_t i = 0; i < count; ++i) all.push_back(region_at(payload, 8 + i * region_description::bytes));
  return all;
}

result<region_description> decode_single_region(const_bytes payload) {
  if (payload.size() != 8 + region_description::bytes) return wrong("a region has 40 octets");
  return region_at(payload, 8);
}

result<log_place> decode_log_place(const_bytes payload) {
  if (payload.size() != 16) return wrong("the place of a log has 16 octets");
  return log_place{le::load64(payload, 0), le::load64(payload, 8)};
}

result<inflight_place> decode_inflight_place(const_bytes payload) {
  if (payload.size() != inflight_place::bytes && payload.size() != 20)
    return wrong("the place of requests in flight has 20 octets, or 24");
  return inflight_place{le::load64(payload, 0), le::load64(payload, 8), le::load16(payload, 16),
                        le::load16(payload, 18)};
}

std::vector<std::uint8_t> encode_reply(request what, const_bytes payload) {
  std::vector<std::uint8_t> out(message_header::bytes + payload.size());
  le::store32(out, 0, static_cast<std::uint32_t>(what));
  le::store32(out, 4, protocol_version | reply_flag);
  le::store32(out, 8, static_cast<std::uint32_t>(payload.size()));
  std::copy(payload.begin(), payload.end(), out.begin() + message_header::bytes);
  return out;
}

std::vector<std::uint8_t> encode_reply(request what, std::uint64_t value) {
  std::array<std::uint8_t, 8> payload{};
  le::store64(payload, 0, value);
  return encode_reply(what, payload);
}

std::vector<std::uint8_t> encode_reply(request what, const vring_state& state) {
  std::array<std::uint8_t, 8> payload{};
  le::store32(payload, 0, state.index);
  le::store32(payload, 4, state.value);
  return encode_reply(what, payload);
}

std::vector<std::uint8_t> encode_reply(request what, const inflight_place& place) {
  std::array<std::uint8_t, inflight_place::bytes> payload{};
  le::store64(payload, 0, place.size);
  le::store64(payload, 8, place.offset);
  le::store16(payload, 16, place.queues);
  le::store16(payload, 18, place.queue_size);
  return encode_reply(what, payload);
}

}  // namespace sluice::vhost
