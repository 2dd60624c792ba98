#include "gateway/relay/frames.hpp"

#include "actors/wire/byte_record.hpp"

namespace sluice::relay {
namespace {

using writer = wire::byte_writer<octets>;
using reader = wire::byte_reader;

tl::unexpected<error> damaged(const char* what) {
  return fail(errc::corrupt, std::string("the peer sent ") + what + " that no gateway of this version sends");
}

constexpr std::uint8_t has_information = 1, has_field_pointer = 2, field_in_cdb = 4, has_progress = 8, deferred = 16,
                       not_here = 32, all_flags = 63;

bool is_status(std::uint64_t value) {
  switch (static_cast<scsi::status>(value)) {
    case scsi::status::good:
    case scsi::status::check_condition:
    case scsi::status::condition_met:
    case scsi::status::busy:
    case scsi::status::reservation_conflict:
    case scsi::status::task_set_full:
    case scsi::status::aca_active:
    case scsi::status::task_aborted:
      return true;
  }
  return false;
}

}  // namespace

void encode(const header& h, bytes to) {
  wire::store8(to, 0, static_cast<std::uint8_t>(h.frame));
  wire::store8(to, 1, 0);
  wire::store16(to, 2, h.body);
  wire::store32(to, 4, h.number);
  wire::store32(to, 8, h.payload);
}

result<header> decode_header(const_bytes from) {
  header h;
  const std::uint8_t kind = wire::load8(from, 0);
  h.frame = static_cast<frame>(kind);
  h.body = wire::load16(from, 2);
  h.number = wire::load32(from, 4);
  h.payload = wire::load32(from, 8);
  const bool has_payload =
      h.frame == frame::command || h.frame == frame::data || h.frame == frame::data_in || h.frame == frame::ended;
  const std::uint32_t most = h.frame == frame::command ? max_immediate : has_payload ? max_payload : 0;
  if (kind == 0 || kind > static_cast<std::uint8_t>(frame::ended) || wire::load8(from, 1) != 0 || h.body > max_body ||
      h.payload > most)
    return damaged("a frame");
  return h;
}

octets encode(const hello_body& from) {
  octets made;
  writer to(made);
  to.put<2>(from.version);
  to.put<2>(from.gateway);
  to.put<2>(from.core);
  return made;
}

result<hello_body> decode_hello(const_bytes from) {
  reader text(from);
  hello_body found;
  found.version = static_cast<std::uint16_t>(text.take<2>());
  found.gateway = static_cast<gateway_id>(text.take<2>());
  found.core = static_cast<std::uint16_t>(text.take<2>());
  if (!text.ends_well()) return damaged("a greeting");
  return found;
}

octets encode(const open_body& from) {
  octets made;
  writer to(made);
  to.put_text(from.unit);
  to.put<8>(from.nexus);
  to.put<2>(from.relative_port);
  to.put<1>(static_cast<std::uint8_t>(from.initiator.protocol));
  to.put_text(from.initiator.name);
  to.put_text(from.initiator.extension);
  to.put_text(from.target);
  return made;
}

result<open_body> decode_open(const_bytes from) {
  reader text(from);
  open_body found;
  found.unit = as_text(text.take_text());
  found.nexus = text.take<8>();
  found.relative_port = static_cast<std::uint16_t>(text.take<2>());
  found.initiator.protocol = text.take_one_of<scsi::protocol>(10);
  found.initiator.name = as_text(text.take_text());
  found.initiator.extension = as_text(text.take_text());
  found.target = as_text(text.take_text());
  if (!text.ends_well()) return damaged("a nexus");
  return found;
}

void encode(const command_body& from, octets& into) {
  into.clear();
  writer to(into);
  to.put<4>(from.attachment);
  to.put<8>(from.epoch);
  to.put<8>(from.expected_out);
  to.put<8>(from.expected_in);
  to.put<4>(from.room);
  to.put<1>(static_cast<std::uint8_t>(from.attribute));
  to.put_text(const_bytes(from.cdb));
}

result<command_body> decode_command(const_bytes from) {
  reader text(from);
  command_body found;
  found.attachment = static_cast<std::uint32_t>(text.take<4>());
  found.epoch = text.take<8>();
  found.expected_out = text.take<8>();
  found.expected_in = text.take<8>();
  found.room = static_cast<std::uint32_t>(text.take<4>());
  found.attribute = text.take_one_of<port::task_attribute>(4);
  const const_bytes cdb = text.take_text();
  found.cdb.assign(cdb.begin(), cdb.end());
  if (cdb.empty() || cdb.size() > port::max_cdb_bytes || found.room > max_payload) text.refuse();
  if (!text.ends_well()) return damaged("a command");
  return found;
}

octets encode(const want_body& from) {
  octets made;
  writer to(made);
  to.put<8>(from.offset);
  to.put<4>(from.length);
  return made;
}

result<want_body> decode_want(const_bytes from) {
  reader text(from);
  want_body found;
  found.offset = text.take<8>();
  found.length = static_cast<std::uint32_t>(text.take<4>());
  if (found.length == 0 || found.length > max_payload || found.offset > UINT64_MAX - max_payload) text.refuse();
  if (!text.ends_well()) return damaged("a wish for data");
  return found;
}

octets encode(const room_body& from) {
  octets made;
  writer(made).put<4>(from.room);
  return made;
}

result<room_body> decode_room(const_bytes from) {
  reader text(from);
  room_body found;
  found.room = static_cast<std::uint32_t>(text.take<4>());
  if (found.room > max_payload) text.refuse();
  if (!text.ends_well()) return damaged("a note of room");
  return found;
}

octets encode(const ended_body& from) {
  octets made;
  made.reserve(40);
  writer to(made);
  const scsi::sense& s = from.outcome.sense;
  to.put<1>(static_cast<std::uint8_t>((s.has_information ? has_information : 0) |
                                      (s.has_field_pointer ? has_field_pointer : 0) |
                                      (s.field_in_cdb ? field_in_cdb : 0) | (s.has_progress ? has_progress : 0) |
                                      (s.deferred ? deferred : 0) | (from.not_here ? not_here : 0)));
  to.put<1>(static_cast<std::uint8_t>(from.silenced));
  to.put<1>(static_cast<std::uint8_t>(from.outcome.status));
  to.put<1>(static_cast<std::uint8_t>(s.key));
  to.put<2>(s.code);
  to.put<8>(s.information);
  to.put<1>(s.field_bit);
  to.put<2>(s.field_byte);
  to.put<2>(s.progress);
  to.put<8>(from.length_out);
  to.put<8>(from.length_in);
  return made;
}

result<ended_body> decode_ended(const_bytes from) {
  reader text(from);
  ended_body found;
  scsi::sense& s = found.outcome.sense;
  const std::uint64_t flags = text.take<1>();
  s.has_information = flags & has_information;
  s.has_field_pointer = flags & has_field_pointer;
  s.field_in_cdb = flags & field_in_cdb;
  s.has_progress = flags & has_progress;
  s.deferred = flags & deferred;
  found.not_here = flags & not_here;
  found.silenced = text.take_one_of<port::silence>(static_cast<unsigned>(port::silence::not_owned) + 1);
  const std::uint64_t status = text.take<1>();
  found.outcome.status = static_cast<scsi::status>(status);
  s.key = text.take_one_of<scsi::sense_key>(16);
  s.code = static_cast<scsi::additional_sense>(text.take<2>());
  s.information = text.take<8>();
  s.field_bit = static_cast<std::uint8_t>(text.take<1>());
  s.field_byte = static_cast<std::uint16_t>(text.take<2>());
  s.progress = static_cast<std::uint16_t>(text.take<2>());
  found.length_out = text.take<8>();
  found.length_in = text.take<8>();
  if (flags > all_flags || !is_status(status) || s.field_bit > 8) text.refuse();
  if (!text.ends_well()) return damaged("an answer");
  return found;
}

}  // namespace sluice::relay
