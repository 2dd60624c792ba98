#include "gateway/scsi/outcome_builders.hpp"

#include "actors/wire/big_endian.hpp"

namespace sluice::scsi {
namespace {

constexpr std::uint8_t fixed_current = 0x70;
constexpr std::uint8_t fixed_deferred = 0x71;
constexpr std::uint8_t descriptor_current = 0x72;
constexpr std::uint8_t descriptor_deferred = 0x73;
constexpr std::size_t fixed_bytes = 18;
constexpr std::size_t descriptor_header_bytes = 8;
constexpr std::uint8_t information_descriptor = 0x00;
constexpr std::uint8_t specific_descriptor = 0x02;

bool has_specific(const sense& s) {
  return s.has_field_pointer || s.has_progress;
}

/// The three octets of SENSE KEY SPECIFIC [SPC-4 4.5.2.4].
void store_specific(bytes to, std::size_t at, const sense& s) {
  if (s.has_field_pointer) {
    std::uint8_t flags = 0x80;
    if (s.field_in_cdb) flags |= 0x40;
    if (s.field_bit < 8) flags |= 0x08 | s.field_bit;
    to[at] = flags;
    wire::store16(to, at + 1, s.field_byte);
  } else if (s.has_progress) {
    to[at] = 0x80;
    wire::store16(to, at + 1, s.progress);
  }
}

void load_specific(const_bytes from, std::size_t at, sense& s) {
  if ((from[at] & 0x80) == 0) return;
  if (s.key == sense_key::illegal_request) {
    s.has_field_pointer = true;
    s.field_in_cdb = (from[at] & 0x40) != 0;
    s.field_bit = (from[at] & 0x08) != 0 ? from[at] & 0x07 : 8;
    s.field_byte = wire::load16(from, at + 1);
  } else if (s.key == sense_key::no_sense || s.key == sense_key::not_ready) {
    s.has_progress = true;
    s.progress = wire::load16(from, at + 1);
  }
}

encoded_sense encode_fixed(const sense& s) {
  encoded_sense e{.data = {}, .size = fixed_bytes};
  const bytes to(e.data);
  to[0] = s.deferred ? fixed_deferred : fixed_current;
  if (s.has_information && s.information <= UINT32_MAX) {
    to[0] |= 0x80;
    wire::store32(to, 3, s.information);
  }
  to[2] = static_cast<std::uint8_t>(s.key);
  to[7] = fixed_bytes - 8;
  wire::store16(to, 12, s.code);
  store_specific(to, 15, s);
  return e;
}

encoded_sense encode_descriptors(const sense& s) {
  encoded_sense e{.data = {}, .size = descriptor_header_bytes};
  const bytes to(e.data);
  to[0] = s.deferred ? descriptor_deferred : descriptor_current;
  to[1] = static_cast<std::uint8_t>(s.key);
  wire::store16(to, 2, s.code);
  if (s.has_information) {
    to[e.size] = information_descriptor;
    to[e.size + 1u] = 0x0a;
    to[e.size + 2u] = 0x80;
    wire::store64(to, e.size + 4u, s.information);
    e.size += 12;
  }
  if (has_specific(s)) {
    to[e.size] = specific_descriptor;
    to[e.size + 1u] = 0x06;
    store_specific(to, e.size + 4u, s);
    e.size += 8;
  }
  to[7] = static_cast<std::uint8_t>(e.size - descriptor_header_bytes);
  return e;
}

sense decode_fixed(const_bytes data) {
  sense s;
  if (data.size() < fixed_bytes) return s;
  s.deferred = (data[0] & 0x7f) == fixed_deferred;
  s.key = static_cast<sense_key>(data[2] & 0x0f);
  s.code = wire::load16(data, 12);
  if ((data[0] & 0x80) != 0) {
    s.has_information = true;
    s.information = wire::load32(data, 3);
  }
  load_specific(data, 15, s);
  return s;
}

sense decode_descriptors(const_bytes data) {
  sense s;
  if (data.size() < descriptor_header_bytes) return s;
  s.deferred = (data[0] & 0x7f) == descriptor_deferred;
  s.key = static_cast<sense_key>(data[1] & 0x0f);
  s.code = wire::load16(data, 2);
  std::size_t at = descriptor_header_bytes;
  while (at + 2 <= data.size()) {
    const std::size_t octets = 2u + data[at + 1];
    if (at + octets > data.size()) break;
    if (data[at] == information_descriptor && octets == 12 && (data[at + 2] & 0x80) != 0) {
      s.has_information = true;
      s.information = wire::load64(data, at + 4);
    } else if (data[at] == specific_descriptor && octets == 8) {
      load_specific(data, at + 4, s);
    }
    at += octets;
  }
  return s;
}

outcome with_field(outcome o, bool in_cdb, std::uint16_t octet, std::uint8_t bit) {
  o.sense.has_field_pointer = true;
  o.sense.field_in_cdb = in_cdb;
  o.sense.field_byte = octet;
  o.sense.field_bit = bit;
  return o;
}

outcome with_information(outcome o, std::uint64_t information) {
  o.sense.has_information = true;
  o.sense.information = information;
  return o;
}

}  // namespace

namespace outcomes {

outcome invalid_field_in_cdb(std::uint16_t octet, std::uint8_t bit) {
  return with_field(check(sense_key::illegal_request, asc::invalid_field_in_cdb), true, octet, bit);
}

outcome invalid_field_in_parameter_list(std::uint16_t octet, std::uint8_t bit) {
  return with_field(check(sense_key::illegal_request, asc::invalid_field_in_parameter_list), false, octet, bit);
}

outcome lba_out_of_range(std::uint64_t lba) {
  return with_information(check(sense_key::illegal_request, asc::lba_out_of_range), lba);
}

outcome miscompare(std::uint64_t offset) {
  return with_information(check(sense_key::miscompare, asc::miscompare_during_verify), offset);
}

outcome unrecovered_read_error() {
  return check(sense_key::medium_error, asc::unrecovered_read_error);
}
outcome unrecovered_read_error(std::uint64_t lba) {
  return with_information(unrecovered_read_error(), lba);
}

outcome write_error() {
  return check(sense_key::medium_error, asc::write_error);
}
outcome write_error(std::uint64_t lba) {
  return with_information(write_error(), lba);
}
outcome deferred_write_error() {
  outcome o = write_error();
  o.sense.deferred = true;
  return o;
}

}  // namespace outcomes

encoded_sense encode(const sense& s, bool descriptor_format) {
  return descriptor_format ? encode_descriptors(s) : encode_fixed(s);
}

sense decode_sense(const_bytes data) {
  if (data.empty()) return {};
  switch (data[0] & 0x7f) {
    case fixed_current:
    case fixed_deferred:
      return decode_fixed(data);
    case descriptor_current:
    case descriptor_deferred:
      return decode_descriptors(data);
    default:
      return {};
  }
}

}  // namespace sluice::scsi
