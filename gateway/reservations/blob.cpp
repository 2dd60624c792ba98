#include "gateway/reservations/blob.hpp"

#include <algorithm>

#include "actors/wire/big_endian.hpp"
#include "actors/wire/byte_record.hpp"
#include "actors/wire/crc.hpp"

namespace sluice::reservations {
namespace {

// magic 4, version 1, type 1, holder index 2 (ffffh: none), registrants 2, then per registrant: key 8, target port 2,
// protocol 1, name length 2, extension length 2, name, extension; last a CRC32C 4.
constexpr std::uint32_t magic = 0x534c5052;  // SLPR
constexpr std::uint8_t version = 1;
constexpr std::uint16_t no_holder = 0xffff;
constexpr std::size_t head_bytes = 10;
constexpr std::size_t registrant_bytes = 15;
constexpr std::size_t crc_bytes = 4;
constexpr std::size_t longest_name = 238;  // 223 by [RFC7143 4.2.7.1], but longer ones have been let in

tl::unexpected<error> corrupt(const char* what) {
  return fail(errc::corrupt, std::string("persistent reservations: ") + what);
}

bool is_protocol(std::uint8_t value) {
  switch (static_cast<scsi::protocol>(value)) {
    case scsi::protocol::fcp:
    case scsi::protocol::sbp:
    case scsi::protocol::srp:
    case scsi::protocol::iscsi:
    case scsi::protocol::sas:
    case scsi::protocol::uas:
      return true;
  }
  return false;
}

/// One registrant at the front of `from`, which is moved on.
result<registrant> take_registrant(const_bytes& from) {
  if (from.size() < registrant_bytes) return corrupt("a registrant is cut off");
  registrant r;
  r.key = wire::load64(from, 0);
  r.who.relative_target_port = wire::load16(from, 8);
  const std::uint8_t protocol = from[10];
  const std::size_t name = wire::load16(from, 11), extension = wire::load16(from, 13);
  if (r.key == 0 || !is_protocol(protocol)) return corrupt("a registrant is not valid");
  if (name == 0 || name > longest_name || extension > longest_name) return corrupt("a name has a wrong length");
  if (from.size() < registrant_bytes + name + extension) return corrupt("a name is cut off");
  r.who.initiator.protocol = static_cast<scsi::protocol>(protocol);
  r.who.initiator.name = as_text(from.subspan(registrant_bytes, name));
  r.who.initiator.extension = as_text(from.subspan(registrant_bytes + name, extension));
  from = from.subspan(registrant_bytes + name + extension);
  return r;
}

result<void> set_reservation(state& now, std::uint8_t type_value, std::uint16_t holder) {
  if (type_value == 0) {
    if (holder != no_holder) return corrupt("a holder without a reservation");
    return {};
  }
  if (!is_type(type_value)) return corrupt("a reservation of unknown type");
  now.type = static_cast<type>(type_value);
  if (is_all_registrants(now.type)) {
    if (holder != no_holder || now.registrants.empty()) return corrupt("a reservation of nobody");
    return {};
  }
  if (holder >= now.registrants.size()) return corrupt("the holder is not registered");
  now.holder = now.registrants[holder].who;
  return {};
}

}  // namespace

std::string serialise(const state& now) {
  std::uint16_t holder = no_holder;
  for (std::size_t i = 0; i < now.registrants.size(); ++i)
    if (now.holder == now.registrants[i].who) holder = static_cast<std::uint16_t>(i);
  std::string blob;
  wire::byte_writer to(blob);
  to.put<4>(magic);
  to.put<1>(version);
  to.put<1>(static_cast<std::uint8_t>(now.type));
  to.put<2>(holder);
  to.put<2>(now.registrants.size());
  for (const registrant& r : now.registrants) {
    to.put<8>(r.key);
    to.put<2>(r.who.relative_target_port);
    to.put<1>(static_cast<std::uint8_t>(r.who.initiator.protocol));
    to.put<2>(r.who.initiator.name.size());
    to.put<2>(r.who.initiator.extension.size());
    blob += r.who.initiator.name;
    blob += r.who.initiator.extension;
  }
  to.put<4>(wire::crc32c(as_bytes(blob)));
  return blob;
}

result<state> parse(std::string_view blob) {
  if (blob.size() < head_bytes + crc_bytes) return corrupt("too short");
  const const_bytes all = as_bytes(blob);
  const const_bytes content = all.first(all.size() - crc_bytes);
  if (wire::crc32c(content) != wire::load32(all, content.size())) return corrupt("checksum");
  if (wire::load32(content, 0) != magic || content[4] != version) return corrupt("unknown format");
  const std::size_t count = wire::load16(content, 8);
  if (count > max_registrants) return corrupt("too many registrants");
  state now;
  now.aptpl = true;
  const_bytes rest = content.subspan(head_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    result<registrant> r = take_registrant(rest);
    if (!r) return tl::unexpected<error>(r.error());
    if (now.find(r->who)) return corrupt("a nexus is registered twice");
    now.registrants.push_back(std::move(*r));
  }
  if (!rest.empty()) return corrupt("octets are left over");
  if (result<void> set = set_reservation(now, content[5], wire::load16(content, 6)); !set)
    return tl::unexpected<error>(set.error());
  return now;
}

}  // namespace sluice::reservations
