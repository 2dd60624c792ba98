#pragma once
#include <array>
#include <cstdint>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"
#include "fabrics/iscsi/datamover.hpp"

/// What iSER puts before iSCSI's PDUs, and what it says when a connection is made [RFC7145 9; InfiniBand, annex A12].
namespace sluice::iser {

inline constexpr std::size_t header_bytes = 28;

struct message {
  enum class kind : std::uint8_t {
    pdu,    // a control-type message: an iSCSI PDU follows
    hello,  // nobody is known to send it; it is to be answered
  };
  kind what = kind::pdu;
  iscsi::tagged_buffers buffers;                  // of a SCSI Command PDU
  const_bytes pdu;                                // the rest of the message
  std::uint8_t max_version = 0, min_version = 0;  // of hello
};

/// errc::invalid_argument, with why, for a message that is none.
result<message> decode(const_bytes octets);

/// The header of a PDU that goes to the initiator, which names no buffers.
void encode_header(std::span<std::uint8_t, header_bytes> into);
/// The answer to a Hello: version 1, or a rejection when that is not between the initiator's.
std::array<std::uint8_t, header_bytes> hello_reply(const message& hello);

/// What a side can do, as it says in the private data of the connection manager.
struct abilities {
  bool zero_based = true;  // addresses that begin at zero in each buffer
  bool send_with_invalidate = true;
};
/// Of private data, which may be followed by others' padding; an initiator that says nothing can do neither.
abilities decode_abilities(const_bytes private_data);
std::array<std::uint8_t, 4> encode(const abilities& of);

}  // namespace sluice::iser
