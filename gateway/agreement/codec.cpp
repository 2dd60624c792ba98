#include "gateway/agreement/codec.hpp"

#include <set>

#include "actors/wire/big_endian.hpp"
#include "actors/wire/byte_record.hpp"
#include "actors/wire/crc.hpp"
#include "gateway/agreement/mode_blob.hpp"
#include "gateway/reservations/blob.hpp"

namespace sluice::agreement {
namespace {

constexpr std::uint32_t magic = 0x534c4147;  // SLAG
constexpr std::uint8_t version = 1;
constexpr std::size_t head_bytes = 5, section_bytes = 5, crc_bytes = 4;
constexpr std::size_t serial_bytes = 32;

enum class section : std::uint8_t {
  identity = 1,      // serial
  mode = 2,          // mode_blob
  saved_mode = 3,    // mode_blob; absent: none
  reservations = 4,  // generation 4, APTPL 1, blob
  nexuses = 5,       // RESERVE holder 8, stopped 1, then 8 for each that prevents removal
  members = 6,       // gateway 2, incarnation 8, each
  ports = 7,         // gateway 2, groups 2; each group: number 2, state 1, preferred 1, status 1, ports 2, then 2 each
  events = 8,        // see put(event)
  ownership = 9,     // owner 2, heir 2, epoch 8; absent: none
};

/// In words, as a plural: sentences go on with it.
const char* to_string(section s) {
  switch (s) {
    case section::identity:
      return "numbers of its identity";
    case section::mode:
      return "mode pages";
    case section::saved_mode:
      return "saved mode pages";
    case section::reservations:
      return "persistent reservations";
    case section::nexuses:
      return "states of nexuses";
    case section::members:
      return "members";
    case section::ports:
      return "target port groups";
    case section::events:
      return "events";
    case section::ownership:
      return "words on who owns it";
  }
  return "octets of an unknown section";
}

class writer : public wire::byte_writer<std::string> {
 public:
  explicit writer(std::string& into) : byte_writer(into) {}
  using byte_writer::put;
  void put(const addressees& whom) {
    put<8>(whom.except_nexus);
    put<1>(whom.only ? 1 : 0);
    if (!whom.only) return;
    put<2>(whom.only->relative_target_port);
    put<1>(static_cast<std::uint8_t>(whom.only->initiator.protocol));
    put_text(whom.only->initiator.name);
    put_text(whom.only->initiator.extension);
  }
  void put(const event& e) {
    put<8>(e.epoch);
    put<8>(e.nexus);
    put<8>(e.request);
    put<4>(e.attentions.size());
    for (const attention_order& each : e.attentions) {
      put(each.whom);
      put<2>(each.code);
    }
    put<4>(e.aborts.size());
    for (const abort_order& each : e.aborts) {
      put(each.whom);
      put<1>(static_cast<std::uint8_t>(each.manner));
      put<1>(static_cast<std::uint8_t>(each.reason));
      put<8>(each.asking_nexus);
      put<8>(each.asking_request);
      put<2>(each.attention);
    }
  }
};

class reader : public wire::byte_reader {
 public:
  using byte_reader::byte_reader;
  addressees take_addressees() {
    addressees whom;
    whom.except_nexus = take<8>();
    if (!take_flag()) return whom;
    whom.only.emplace();
    whom.only->relative_target_port = static_cast<std::uint16_t>(take<2>());
    whom.only->initiator.protocol = take_one_of<scsi::protocol>(0x10);
    whom.only->initiator.name = as_text(take_text());
    whom.only->initiator.extension = as_text(take_text());
    return whom;
  }
  event take_event() {
    event e;
    e.epoch = take<8>();
    e.nexus = take<8>();
    e.request = take<8>();
    for (std::uint64_t n = take<4>(); n > 0 && good(); --n) {
      attention_order& each = e.attentions.emplace_back();
      each.whom = take_addressees();
      each.code = static_cast<scsi::additional_sense>(take<2>());
    }
    for (std::uint64_t n = take<4>(); n > 0 && good(); --n) {
      abort_order& each = e.aborts.emplace_back();
      each.whom = take_addressees();
      each.manner = take_one_of<abort_manner>(static_cast<unsigned>(abort_manner::relayed) + 1);
      each.reason = take_one_of<port::silence>(static_cast<unsigned>(port::silence::transport_abort) + 1);
      each.asking_nexus = take<8>();
      each.asking_request = take<8>();
      each.attention = static_cast<scsi::additional_sense>(take<2>());
    }
    return e;
  }
};

void append(std::string& to, section tag, const std::string& payload) {
  const std::size_t begin = to.size();
  writer into(to);
  into.put<1>(static_cast<std::uint8_t>(tag));
  into.put<4>(payload.size());
  to += payload;
  into.put<4>(wire::crc32c(as_bytes(std::string_view(to).substr(begin))));
}

tl::unexpected<error> corrupt(const std::string& what) {
  return fail(errc::corrupt, "the unit's agreed state: " + what);
}

/// The payload of the section at the front of `from`, which is moved on.
result<std::pair<section, const_bytes>> take_section(const_bytes& from) {
  if (from.size() < section_bytes + crc_bytes) return corrupt("it is cut off");
  const auto tag = static_cast<section>(from[0]);
  const std::size_t length = wire::load32(from, 1);
  if (length > from.size() - section_bytes - crc_bytes)
    return corrupt(std::string("the ") + to_string(tag) + " are cut off");
  if (wire::crc32c(from.first(section_bytes + length)) != wire::load32(from, section_bytes + length))
    return corrupt(std::string("the checksum of the ") + to_string(tag) + " is wrong");
  const const_bytes payload = from.subspan(section_bytes, length);
  from = from.subspan(section_bytes + length + crc_bytes);
  return std::pair{tag, payload};
}

bool is_serial(std::string_view text) {
  return text.empty() ||
         (text.size() == serial_bytes && text.find_first_not_of("0123456789abcdef") == std::string_view::npos);
}

bool read_ports(reader& from, agreed& into) {
  while (from.good() && from.left() > 0) {
    const auto gateway = static_cast<gateway_id>(from.take<2>());
    if (into.ports.contains(gateway)) return false;
    std::vector<scsi::target_port_group>& groups = into.ports[gateway];
    for (std::uint64_t n = from.take<2>(); n > 0 && from.good(); --n) {
      scsi::target_port_group& group = groups.emplace_back();
      group.number = static_cast<std::uint16_t>(from.take<2>());
      const std::uint64_t state = from.take<1>();
      if (state > 0xf) return false;
      group.state = static_cast<scsi::asymmetric_access>(state);
      group.preferred = from.take_flag();
      group.status = static_cast<std::uint8_t>(from.take<1>());
      for (std::uint64_t ports = from.take<2>(); ports > 0 && from.good(); --ports)
        group.ports.push_back(static_cast<std::uint16_t>(from.take<2>()));
    }
  }
  return from.good();
}

bool read_members(reader& from, agreed& into) {
  while (from.good() && from.left() > 0) {
    const auto gateway = static_cast<gateway_id>(from.take<2>());
    if (!into.members.emplace(gateway, from.take<8>()).second) return false;
  }
  return from.good();
}

bool read_nexuses(reader& from, agreed& into) {
  into.reserve_holder = from.take<8>();
  into.stopped = from.take_flag();
  while (from.good() && from.left() > 0) into.prevents_removal.push_back(from.take<8>());
  return from.good();
}

bool read_events(reader& from, agreed& into) {
  while (from.good() && from.left() > 0) {
    into.events.push_back(from.take_event());
    const std::size_t count = into.events.size();
    if (count > max_events || (count > 1 && into.events[count - 2].epoch + 1 != into.events[count - 1].epoch))
      return false;
  }
  return from.good();
}

bool read_reservations(reader& from, agreed& into) {
  const auto generation = static_cast<std::uint32_t>(from.take<4>());
  const bool aptpl = from.take_flag();
  auto parsed = reservations::parse(as_text(from.take_bytes(from.left())));
  if (!from.good() || !parsed) return false;
  into.reservations = std::move(*parsed);
  into.reservations.generation = generation;
  into.reservations.aptpl = aptpl;
  return true;
}

bool read(section tag, const_bytes payload, agreed& into) {
  reader from(payload);
  switch (tag) {
    case section::identity:
      into.serial = as_text(payload);
      return is_serial(into.serial);
    case section::mode:
    case section::saved_mode: {
      const auto parsed = parse_mode(as_text(payload));
      if (!parsed) return false;
      if (tag == section::mode)
        into.mode = *parsed;
      else
        into.saved_mode = *parsed;
      return true;
    }
    case section::reservations:
      return read_reservations(from, into);
    case section::nexuses:
      return read_nexuses(from, into);
    case section::members:
      return read_members(from, into);
    case section::ports:
      return read_ports(from, into);
    case section::events:
      return read_events(from, into);
    case section::ownership:
      into.owned.emplace();
      into.owned->owner = static_cast<gateway_id>(from.take<2>());
      into.owned->heir = static_cast<gateway_id>(from.take<2>());
      into.owned->epoch = from.take<8>();
      return from.ends_well();
  }
  return false;
}

result<const_bytes> sections_of(std::string_view content) {
  const const_bytes all = as_bytes(content);
  if (all.size() < head_bytes || wire::load32(all, 0) != magic) return corrupt("this is something else");
  if (all[4] != version) return corrupt("its version " + std::to_string(all[4]) + " is not known here");
  return all.subspan(head_bytes);
}

}  // namespace

std::string encode(const agreed& now) {
  std::string text;
  writer head(text);
  head.put<4>(magic);
  head.put<1>(version);
  append(text, section::identity, now.serial);
  append(text, section::mode, serialise_mode(now.mode));
  if (now.saved_mode) append(text, section::saved_mode, serialise_mode(*now.saved_mode));
  std::string held_text;
  writer held(held_text);
  held.put<4>(now.reservations.generation);
  held.put<1>(now.reservations.aptpl ? 1 : 0);
  held_text += reservations::serialise(now.reservations);
  append(text, section::reservations, held_text);
  std::string nexuses_text;
  writer nexuses(nexuses_text);
  nexuses.put<8>(now.reserve_holder);
  nexuses.put<1>(now.stopped ? 1 : 0);
  for (const std::uint64_t nexus : now.prevents_removal) nexuses.put<8>(nexus);
  append(text, section::nexuses, nexuses_text);
  std::string members_text;
  writer members(members_text);
  for (const auto& [gateway, incarnation] : now.members) {
    members.put<2>(gateway);
    members.put<8>(incarnation);
  }
  append(text, section::members, members_text);
  std::string ports_text;
  writer ports(ports_text);
  for (const auto& [gateway, groups] : now.ports) {
    ports.put<2>(gateway);
    ports.put<2>(groups.size());
    for (const scsi::target_port_group& group : groups) {
      ports.put<2>(group.number);
      ports.put<1>(static_cast<std::uint8_t>(group.state));
      ports.put<1>(group.preferred ? 1 : 0);
      ports.put<1>(group.status);
      ports.put<2>(group.ports.size());
      for (const std::uint16_t port : group.ports) ports.put<2>(port);
    }
  }
  append(text, section::ports, ports_text);
  if (now.owned) {
    std::string owned_text;
    writer owned(owned_text);
    owned.put<2>(now.owned->owner);
    owned.put<2>(now.owned->heir);
    owned.put<8>(now.owned->epoch);
    append(text, section::ownership, owned_text);
  }
  std::string events_text;
  writer events(events_text);
  for (const event& each : now.events) events.put(each);
  append(text, section::events, events_text);
  return text;
}

result<agreed> decode(std::string_view content, std::uint64_t epoch) {
  auto rest = sections_of(content);
  if (!rest) return tl::unexpected(rest.error());
  agreed made;
  made.epoch = epoch;
  std::set<section> seen;
  while (!rest->empty()) {
    const auto next = take_section(*rest);
    if (!next) return tl::unexpected(next.error());
    const auto& [tag, payload] = *next;
    if (!seen.insert(tag).second || !read(tag, payload, made))
      return corrupt(std::string("the ") + to_string(tag) + " are not valid");
  }
  for (const section tag : {section::identity, section::mode, section::reservations, section::nexuses, section::members,
                            section::ports, section::events})
    if (!seen.contains(tag)) return corrupt(std::string("the ") + to_string(tag) + " are missing");
  return made;
}

result<std::string> decode_identity(std::string_view content) {
  auto rest = sections_of(content);
  if (!rest) return tl::unexpected(rest.error());
  const auto first = take_section(*rest);
  if (!first) return tl::unexpected(first.error());
  std::string serial(as_text(first->second));
  if (first->first != section::identity || serial.empty() || !is_serial(serial))
    return corrupt("the identity is not valid");
  return serial;
}

}  // namespace sluice::agreement
