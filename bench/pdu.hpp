#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "actors/wire/big_endian.hpp"

/// Just enough iSCSI framing to measure a target. It shares nothing with fabrics/iscsi on purpose: a codec that both
/// sides of a measurement share would hide its own mistakes and its own cost.
namespace sluice::bench {

/// A basic header segment [RFC7143 11.2.1].
using bhs = std::array<std::uint8_t, 48>;

enum opcode : std::uint8_t {
  nop_out = 0x00,
  scsi_command = 0x01,
  login_request = 0x03,
  data_out = 0x05,
  logout_request = 0x06,
  nop_in = 0x20,
  scsi_response = 0x21,
  login_response = 0x23,
  data_in = 0x25,
  logout_response = 0x26,
  r2t = 0x31,
  async_message = 0x32,
};

inline constexpr std::size_t max_iovecs = 1024;       // IOV_MAX of Linux
inline constexpr std::size_t scratch_bytes = 262144;  // what is read and not looked at: stays in the cache of the core

inline constexpr std::uint8_t immediate_bit = 0x40, final_bit = 0x80, read_bit = 0x40, write_bit = 0x20;
inline constexpr std::uint8_t status_bit = 0x01;  // Data-In that carries the status
inline constexpr std::uint8_t scsi_event = 0;     // of an Asynchronous Message
inline constexpr std::uint32_t no_tag = 0xffffffff;

inline std::uint8_t opcode_of(const_bytes header) {
  return header[0] & 0x3f;
}
inline std::uint32_t data_segment_length(const_bytes header) {
  return wire::load24(header, 5);
}
/// Octets after the data segment up to the next multiple of four.
inline std::uint32_t padding(std::uint32_t length) {
  return -length & 3;
}

/// SCSI READ(16) or WRITE(16) with a simple task attribute; `length_bytes` is the expected data transfer length.
inline bhs make_scsi_command(std::uint32_t tag, std::uint64_t lun, bool write, std::uint32_t length_bytes) {
  bhs header{};
  header[0] = scsi_command;
  header[1] = final_bit | (write ? write_bit : read_bit) | 1;
  wire::store64(header, 8, lun << 48);
  wire::store32(header, 16, tag);
  wire::store32(header, 20, length_bytes);
  return header;
}

inline void set_block_cdb(bhs& header, bool write, std::uint64_t lba, std::uint32_t blocks, bool fua) {
  header[32] = write ? 0x8a : 0x88;
  header[33] = fua ? 0x08 : 0;
  wire::store64(header, 34, lba);
  wire::store32(header, 42, blocks);
}

}  // namespace sluice::bench
