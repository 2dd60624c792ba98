#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "actors/base/global_id.hpp"
#include "actors/base/result.hpp"
#include "fabrics/port/task.hpp"

/// What gateways say to each other about commands on units that one of them owns. A frame is a header of 12 octets, a
/// body of at most max_body, and a payload: data of a command. Integers are big-endian.
namespace sluice::relay {

inline constexpr std::uint16_t version = 1;
inline constexpr std::size_t header_bytes = 12;
inline constexpr std::size_t max_body = 4096;
/// Of a command's data in one frame; also what goes along with a command.
inline constexpr std::uint32_t max_payload = 1024 * 1024, max_immediate = 128 * 1024;

enum class frame : std::uint8_t {
  // from who relays
  hello = 1,  // once, first
  open,       // number: of an attachment, by which commands of one nexus come to one unit
  close,      // likewise
  command,    // number: of the command; payload: its first data-out
  data,       // payload: what was wanted
  room,       // data-in was taken; there is room for more
  end,        // the command is to end soon
  ping,       // answered at once, by pong
  // from who owns
  pong,
  welcome,  // answers hello, once nothing is left of what came by an earlier link of the same core
  want,
  data_in,  // payload
  ended,    // payload: the last data-in
};

struct header {
  relay::frame frame = frame::hello;
  std::uint16_t body = 0;
  std::uint32_t number = 0, payload = 0;
};
void encode(const header& h, bytes to);  // header_bytes
/// Total: errc::corrupt for what no peer of this version says.
result<header> decode_header(const_bytes from);

using octets = std::vector<std::uint8_t>;

struct hello_body {
  std::uint16_t version = relay::version;
  gateway_id gateway = 0;
  std::uint16_t core = 0;  // of the gateway, which has a link of its own
  bool operator==(const hello_body&) const = default;
};
struct open_body {
  std::string unit;
  std::uint64_t nexus = 0;
  std::uint16_t relative_port = 0;
  scsi::transport_id initiator;
  std::string target;
  bool operator==(const open_body&) const = default;
};
struct command_body {
  std::uint32_t attachment = 0;
  std::uint64_t epoch = 0;  // of the agreement by which it was found to be allowed
  std::uint64_t expected_out = 0, expected_in = 0;
  std::uint32_t room = 0;  // for data-in
  port::task_attribute attribute = port::task_attribute::simple;
  octets cdb;
  bool operator==(const command_body&) const = default;
};
struct want_body {
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  bool operator==(const want_body&) const = default;
};
struct room_body {
  std::uint32_t room = 0;
  bool operator==(const room_body&) const = default;
};
struct ended_body {
  bool not_here = false;  // not done
  port::silence silenced = port::silence::none;
  scsi::outcome outcome;
  std::uint64_t length_out = 0, length_in = 0;
};

octets encode(const hello_body& from);
octets encode(const open_body& from);
void encode(const command_body& from, octets& into);  // into: emptied first; keeps its memory
octets encode(const want_body& from);
octets encode(const room_body& from);
octets encode(const ended_body& from);
/// All are total: errc::corrupt for anything that encode() does not make.
result<hello_body> decode_hello(const_bytes from);
result<open_body> decode_open(const_bytes from);
result<command_body> decode_command(const_bytes from);
result<want_body> decode_want(const_bytes from);
result<room_body> decode_room(const_bytes from);
result<ended_body> decode_ended(const_bytes from);

}  // namespace sluice::relay
