#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"
#include "fabrics/port/task.hpp"
#include "fabrics/rdma/device.hpp"

/// The information units of SRP [INCITS 365-2002, draft r16a, 6; immediate data: draft SRP2] as values. Pure: decoders
/// take any octets and never fail with more than an error.
namespace sluice::srp {

enum class opcode : std::uint8_t {
  login_request = 0x00,
  task_management = 0x01,
  command = 0x02,
  initiator_logout = 0x03,
  credit_response = 0x41,
  event_response = 0x42,
  target_logout = 0x80,
  credit_request = 0x81,
  event_request = 0x82,
  login_response = 0xc0,
  response = 0xc1,
  login_rejection = 0xc2,
};

/// 128 bits that name a port: of an initiator an extension and then the GUID of its own port, of a target the ID
/// extension and then the GUID of its I/O controller [r16a B.3].
using port_identifier = std::array<std::uint8_t, 16>;
std::string to_text(const port_identifier& id);  // 32 lower-case hex digits
/// From what a person may write: 32 hex digits, with "0x" before them, and with any colons.
result<port_identifier> parse_identifier(const std::string& text);

// -- login ---------------------------------------------------------------------------------------------------------

/// Formats of data buffer descriptors, as the login names them by bits.
inline constexpr std::uint16_t direct_format = 0x2, indirect_format = 0x4;

enum class multi_channel : std::uint8_t { single = 0, multiple = 1 };

/// The private data of a connection request: a login of RDMA/CM, 56 octets.
struct login_request {
  static constexpr std::size_t octets = 56;
  static constexpr std::uint8_t wants_immediate = 0x80;
  std::uint64_t tag = 0;
  std::uint16_t formats = 0;
  multi_channel action = multi_channel::single;
  bool immediate = false;                    // wants to send data with its commands
  std::uint32_t max_initiator_iu_bytes = 0;  // of what it will send
  port_identifier initiator{}, target{};
  std::uint16_t immediate_offset = 0;  // where in an IU immediate data begin
};
struct login_response {
  static constexpr std::size_t octets = 52;
  std::uint64_t tag = 0;
  std::int32_t request_limit_delta = 0;
  std::uint32_t max_initiator_iu_bytes = 0, max_target_iu_bytes = 0;
  std::uint16_t formats = direct_format | indirect_format;
  enum class others : std::uint8_t { none = 0, terminated = 1, maintained = 2 } channels = others::none;
  bool immediate = false;
};
enum class login_refusal : std::uint32_t {
  cannot_establish = 0x10000,
  insufficient_resources = 0x10001,
  iu_too_large = 0x10002,
  cannot_associate = 0x10003,
  unsupported_format = 0x10004,
  no_multiple_channels = 0x10005,
  channel_limit_reached = 0x10006,
};
const char* to_string(login_refusal why);
struct login_rejection {
  static constexpr std::size_t octets = 32;
  std::uint64_t tag = 0;
  login_refusal reason = login_refusal::cannot_establish;
};

result<login_request> decode_login(const_bytes private_data);
std::array<std::uint8_t, login_response::octets> encode(const login_response& r);
std::array<std::uint8_t, login_rejection::octets> encode(const login_rejection& r);

// -- from the initiator ----------------------------------------------------------------------------------------------

using memory_descriptor = rdma::remote_piece;  // a piece of the initiator's memory

/// Where data of one direction are.
struct data_buffer {
  std::vector<memory_descriptor> pieces;  // in order; those of them that came with the command
  std::uint64_t length = 0;               // of all the data
  /// The whole list lies in the initiator's memory, and only a part of it, or nothing, came with the command.
  bool external = false;
  memory_descriptor table{};
  bool is_immediate = false;  // data-out only: they came with the command
  const_bytes immediate{};
};

/// What a command may ask for at most: the pieces that a table may have.
inline constexpr std::size_t max_pieces = 4096;

struct command {
  std::uint64_t tag = 0;
  port::lun lun = 0;
  port::task_attribute attribute = port::task_attribute::simple;
  const_bytes cdb, additional_cdb;  // both within the IU
  data_buffer out, in;
};

/// Parts of the IU are referred to. `immediate_offset`: as agreed at login; 0: no immediate data were agreed on.
result<command> decode_command(const_bytes iu, std::uint16_t immediate_offset);
/// A table that was fetched: the pieces of all `length` octets.
result<std::vector<memory_descriptor>> decode_table(const_bytes table, std::uint64_t length);

struct task_management {
  std::uint64_t tag = 0;
  port::lun lun = 0;
  std::uint8_t function = 0;
  std::uint64_t referenced_tag = 0;
};
result<task_management> decode_task_management(const_bytes iu);

// -- from the target -------------------------------------------------------------------------------------------------

/// RSP_CODE of a task management function [r16a 6.9, table 22].
enum class response_code : std::uint8_t { done = 0, invalid_fields = 2, not_supported = 4, failed = 5 };

struct response {
  static constexpr std::size_t header_bytes = 36, code_bytes = 4;
  std::uint64_t tag = 0;
  std::int32_t request_limit_delta = 0;
  scsi::status status = scsi::status::good;
  port::residual out, in;
  const_bytes sense;
  bool has_code = false;
  response_code code = response_code::done;
};
/// The octets that it takes; `into` has room for header, code and sense.
std::size_t encode(const response& r, bytes into);

struct credit_request {
  static constexpr std::size_t octets = 16;
  std::uint64_t tag = 0;
  std::int32_t request_limit_delta = 0;
};
std::size_t encode(const credit_request& r, bytes into);

/// Something happened at a logical unit.
struct event_request {
  static constexpr std::size_t header_bytes = 36;
  std::uint64_t tag = 0;
  std::int32_t request_limit_delta = 0;
  port::lun lun = 0;
  const_bytes sense;
};
std::size_t encode(const event_request& r, bytes into);

// -- the other side of each, for initiators of tests -----------------------------------------------------------------

std::array<std::uint8_t, login_request::octets> encode(const login_request& r);
result<login_response> decode_login_response(const_bytes private_data);
result<login_rejection> decode_login_rejection(const_bytes private_data);
/// `immediate_offset` as above; the data are put there.
std::vector<std::uint8_t> encode(const command& c, std::uint16_t immediate_offset);
std::vector<std::uint8_t> encode(const task_management& m);
result<response> decode_response(const_bytes iu);
result<event_request> decode_event(const_bytes iu);
std::uint64_t tag_of(const_bytes iu);                 // of any IU but the login; 0 when it is too short
std::int32_t request_limit_delta_of(const_bytes iu);  // of what a target sends

}  // namespace sluice::srp
