#include "fabrics/srp/iu.hpp"

#include <algorithm>

#include "actors/wire/big_endian.hpp"

namespace sluice::srp {
namespace {

using wire::load16;
using wire::load32;
using wire::load64;
using wire::load8;
using wire::store16;
using wire::store32;
using wire::store64;
using wire::store8;

constexpr std::size_t command_bytes = 48, descriptor_bytes = 16, indirect_bytes = 20;
constexpr std::size_t tag_at = 8, lun_at = 20, cdb_at = 32, cdb_bytes = 16;

enum class buffer_format : std::uint8_t { none = 0, direct = 1, indirect = 2, immediate = 3 };

tl::unexpected<error> malformed(const char* what) {
  return fail(errc::invalid_argument, what);
}

memory_descriptor decode_descriptor(const_bytes from) {
  return {load64(from, 0), load32(from, 8), load32(from, 12)};
}
void store_descriptor(bytes to, const memory_descriptor& d) {
  store64(to, 0, d.address);
  store32(to, 8, d.key);
  store32(to, 12, d.length);
}

std::uint64_t length_of(const std::vector<memory_descriptor>& pieces) {
  std::uint64_t all = 0;
  for (const memory_descriptor& each : pieces) all += each.length;
  return all;
}

std::vector<memory_descriptor> decode_list(const_bytes from) {
  std::vector<memory_descriptor> pieces;
  pieces.reserve(from.size() / descriptor_bytes);
  for (; from.size() >= descriptor_bytes; from = from.subspan(descriptor_bytes))
    pieces.push_back(decode_descriptor(from));
  return pieces;
}

/// Reads the descriptor of one direction at the front of `rest`, and takes it from there.
class buffer_reader {
 public:
  buffer_reader(const_bytes iu, const_bytes rest, std::uint16_t immediate_offset)
      : iu_(iu), rest_(rest), immediate_offset_(immediate_offset) {}

  result<data_buffer> read(unsigned format, std::size_t listed) {
    switch (static_cast<buffer_format>(format)) {
      case buffer_format::none:
        return data_buffer{};
      case buffer_format::direct:
        return read_direct();
      case buffer_format::indirect:
        return read_indirect(listed);
      case buffer_format::immediate:
        return read_immediate();
    }
    return malformed("an unknown format of data buffers");
  }

 private:
  result<data_buffer> read_direct() {
    if (rest_.size() < descriptor_bytes) return malformed("a data buffer descriptor is cut short");
    data_buffer made;
    made.pieces = {decode_descriptor(take(descriptor_bytes))};
    made.length = made.pieces[0].length;
    return made;
  }

  result<data_buffer> read_indirect(std::size_t listed) {
    if (rest_.size() < indirect_bytes + listed * descriptor_bytes)
      return malformed("an indirect data buffer descriptor is cut short");
    data_buffer made;
    const const_bytes header = take(indirect_bytes);
    made.table = decode_descriptor(header);
    made.length = load32(header, descriptor_bytes);
    const std::size_t all = made.table.length / descriptor_bytes;
    if (made.table.length % descriptor_bytes != 0 || listed > all || all > max_pieces)
      return malformed("a table of data buffers has an odd length");
    made.pieces = decode_list(take(listed * descriptor_bytes));
    made.external = listed < all;
    const std::uint64_t here = length_of(made.pieces);
    if (made.external ? here > made.length : here != made.length)
      return malformed("data buffers and their length do not go together");
    return made;
  }

  result<data_buffer> read_immediate() {
    if (immediate_offset_ == 0) return malformed("immediate data, which the login did not agree on");
    if (rest_.size() < 4) return malformed("an immediate data descriptor is cut short");
    data_buffer made;
    made.is_immediate = true;
    made.length = load32(take(4), 0);
    const auto used = static_cast<std::size_t>(rest_.data() - iu_.data());
    if (used > immediate_offset_ || iu_.size() < immediate_offset_ || made.length > iu_.size() - immediate_offset_)
      return malformed("immediate data that are not there");
    made.immediate = iu_.subspan(immediate_offset_, made.length);
    return made;
  }

  const_bytes take(std::size_t octets) {
    const const_bytes front = rest_.first(octets);
    rest_ = rest_.subspan(octets);
    return front;
  }

  const const_bytes iu_;
  const_bytes rest_;
  const std::uint16_t immediate_offset_;
};

buffer_format format_of(const data_buffer& b) {
  if (b.is_immediate) return buffer_format::immediate;
  if (b.external || b.pieces.size() > 1) return buffer_format::indirect;
  return b.pieces.empty() ? buffer_format::none : buffer_format::direct;
}

void append_buffer(std::vector<std::uint8_t>& to, const data_buffer& b) {
  const auto grow = [&](std::size_t octets) {
    to.resize(to.size() + octets);
    return bytes(to).last(octets);
  };
  switch (format_of(b)) {
    case buffer_format::none:
      return;
    case buffer_format::direct:
      return store_descriptor(grow(descriptor_bytes), b.pieces[0]);
    case buffer_format::indirect: {
      const bytes header = grow(indirect_bytes);
      memory_descriptor table = b.table;
      if (!b.external) table.length = static_cast<std::uint32_t>(b.pieces.size() * descriptor_bytes);
      store_descriptor(header, table);
      store32(header, descriptor_bytes, b.length);
      for (const memory_descriptor& each : b.pieces) store_descriptor(grow(descriptor_bytes), each);
      return;
    }
    case buffer_format::immediate:
      return store32(grow(4), 0, b.length);
  }
}

port::task_attribute attribute_of(std::uint8_t code) {
  switch (code & 7) {
    case 1:
      return port::task_attribute::head_of_queue;
    case 2:
      return port::task_attribute::ordered;
    case 4:
      return port::task_attribute::aca;
    default:
      return port::task_attribute::simple;
  }
}
std::uint8_t code_of(port::task_attribute attribute) {
  switch (attribute) {
    case port::task_attribute::head_of_queue:
      return 1;
    case port::task_attribute::ordered:
      return 2;
    case port::task_attribute::aca:
      return 4;
    case port::task_attribute::simple:
      return 0;
  }
  return 0;
}

}  // namespace

result<command> decode_command(const_bytes iu, std::uint16_t immediate_offset) {
  if (iu.size() < command_bytes) return malformed("a command is cut short");
  command made;
  made.tag = load64(iu, tag_at);
  made.lun = load64(iu, lun_at);
  made.attribute = attribute_of(load8(iu, 29));
  made.cdb = iu.subspan(cdb_at, cdb_bytes);
  const std::size_t additional = load8(iu, 31) & ~3u;  // counted by fours, in the upper six bits
  if (iu.size() < command_bytes + additional) return malformed("a CDB is cut short");
  made.additional_cdb = iu.subspan(command_bytes, additional);
  buffer_reader from(iu, iu.subspan(command_bytes + additional), immediate_offset);
  const std::uint8_t formats = load8(iu, 5);
  auto out = from.read(formats >> 4, load8(iu, 6));  // data-out come first [r16a 6.8]
  if (!out) return tl::unexpected(out.error());
  auto in = from.read(formats & 15, load8(iu, 7));
  if (!in) return tl::unexpected(in.error());
  if (in->is_immediate) return malformed("immediate data-in");
  made.out = std::move(*out);
  made.in = std::move(*in);
  return made;
}

result<std::vector<memory_descriptor>> decode_table(const_bytes table, std::uint64_t length) {
  std::vector<memory_descriptor> pieces = decode_list(table);
  if (length_of(pieces) != length) return malformed("data buffers and their length do not go together");
  return pieces;
}

std::vector<std::uint8_t> encode(const command& c, std::uint16_t immediate_offset) {
  std::vector<std::uint8_t> to(command_bytes);
  store8(to, 0, static_cast<std::uint8_t>(opcode::command));
  store8(to, 5, static_cast<unsigned>(format_of(c.out)) << 4 | static_cast<unsigned>(format_of(c.in)));
  const auto listed = [](const data_buffer& b) {
    return format_of(b) == buffer_format::indirect ? b.pieces.size() : 0;
  };
  store8(to, 6, listed(c.out));
  store8(to, 7, listed(c.in));
  store64(to, tag_at, c.tag);
  store64(to, lun_at, c.lun);
  store8(to, 29, code_of(c.attribute));
  store8(to, 31, c.additional_cdb.size());
  std::copy_n(c.cdb.begin(), std::min(c.cdb.size(), cdb_bytes), to.begin() + cdb_at);
  to.insert(to.end(), c.additional_cdb.begin(), c.additional_cdb.end());
  append_buffer(to, c.out);
  append_buffer(to, c.in);
  if (!c.out.is_immediate) return to;
  to.resize(immediate_offset);
  to.insert(to.end(), c.out.immediate.begin(), c.out.immediate.end());
  return to;
}

result<task_management> decode_task_management(const_bytes iu) {
  if (iu.size() < command_bytes) return malformed("a task management function is cut short");
  return task_management{load64(iu, tag_at), load64(iu, lun_at), load8(iu, 30), load64(iu, 32)};
}

std::vector<std::uint8_t> encode(const task_management& m) {
  std::vector<std::uint8_t> to(command_bytes);
  store8(to, 0, static_cast<std::uint8_t>(opcode::task_management));
  store64(to, tag_at, m.tag);
  store64(to, lun_at, m.lun);
  store8(to, 30, m.function);
  store64(to, 32, m.referenced_tag);
  return to;
}

// -- what a target sends -------------------------------------------------------------------------------------------

namespace {

constexpr std::uint8_t code_valid = 0x01, sense_valid = 0x02;
constexpr std::uint8_t out_over = 0x04, out_under = 0x08, in_over = 0x10, in_under = 0x20;

std::uint32_t count_of(const port::residual& r) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(r.octets, UINT32_MAX));
}

}  // namespace

std::size_t encode(const response& r, bytes into) {
  std::fill_n(into.begin(), response::header_bytes, std::uint8_t{0});
  store8(into, 0, static_cast<std::uint8_t>(opcode::response));
  store32(into, 4, static_cast<std::uint32_t>(r.request_limit_delta));
  store64(into, tag_at, r.tag);
  std::uint8_t flags = 0;
  if (r.has_code) flags |= code_valid;
  if (!r.sense.empty()) flags |= sense_valid;
  if (r.out.over) flags |= out_over;
  if (r.out.under) flags |= out_under;
  if (r.in.over) flags |= in_over;
  if (r.in.under) flags |= in_under;
  store8(into, 18, flags);
  store8(into, 19, static_cast<std::uint8_t>(r.status));
  store32(into, 20, count_of(r.out));
  store32(into, 24, count_of(r.in));
  store32(into, 28, r.sense.size());
  std::size_t used = response::header_bytes;
  if (r.has_code) {
    store32(into, 32, response::code_bytes);
    store32(into, used, static_cast<std::uint8_t>(r.code));
    used += response::code_bytes;
  }
  std::copy(r.sense.begin(), r.sense.end(), into.begin() + static_cast<std::ptrdiff_t>(used));
  return used + r.sense.size();
}

result<response> decode_response(const_bytes iu) {
  if (iu.size() < response::header_bytes || iu[0] != static_cast<std::uint8_t>(opcode::response))
    return malformed("no response");
  response made;
  made.request_limit_delta = request_limit_delta_of(iu);
  made.tag = tag_of(iu);
  const std::uint8_t flags = load8(iu, 18);
  made.status = static_cast<scsi::status>(load8(iu, 19));
  made.out = {(flags & out_over) != 0, (flags & out_under) != 0, load32(iu, 20)};
  made.in = {(flags & in_over) != 0, (flags & in_under) != 0, load32(iu, 24)};
  const std::uint64_t code = flags & code_valid ? load32(iu, 32) : 0, sense = flags & sense_valid ? load32(iu, 28) : 0;
  if (response::header_bytes + code + sense > iu.size()) return malformed("a response is cut short");
  made.has_code = code >= response::code_bytes;
  if (made.has_code) made.code = static_cast<response_code>(load8(iu, response::header_bytes + 3));
  made.sense = iu.subspan(response::header_bytes + code, sense);
  return made;
}

std::size_t encode(const credit_request& r, bytes into) {
  std::fill_n(into.begin(), credit_request::octets, std::uint8_t{0});
  store8(into, 0, static_cast<std::uint8_t>(opcode::credit_request));
  store32(into, 4, static_cast<std::uint32_t>(r.request_limit_delta));
  store64(into, tag_at, r.tag);
  return credit_request::octets;
}

std::size_t encode(const event_request& r, bytes into) {
  std::fill_n(into.begin(), event_request::header_bytes, std::uint8_t{0});
  store8(into, 0, static_cast<std::uint8_t>(opcode::event_request));
  store32(into, 4, static_cast<std::uint32_t>(r.request_limit_delta));
  store64(into, tag_at, r.tag);
  store64(into, lun_at, r.lun);
  store32(into, 28, r.sense.size());
  std::ranges::copy(r.sense, into.begin() + event_request::header_bytes);
  return event_request::header_bytes + r.sense.size();
}

result<event_request> decode_event(const_bytes iu) {
  if (iu.size() < event_request::header_bytes || load32(iu, 28) > iu.size() - event_request::header_bytes)
    return malformed("an event is cut short");
  return event_request{tag_of(iu), request_limit_delta_of(iu), load64(iu, lun_at),
                       iu.subspan(event_request::header_bytes, load32(iu, 28))};
}

std::uint64_t tag_of(const_bytes iu) {
  return iu.size() < tag_at + 8 ? 0 : load64(iu, tag_at);
}
std::int32_t request_limit_delta_of(const_bytes iu) {
  return iu.size() < 8 ? 0 : static_cast<std::int32_t>(load32(iu, 4));
}

}  // namespace sluice::srp
