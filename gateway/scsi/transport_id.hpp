#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/result.hpp"

namespace sluice::scsi {

/// [SPC-4 7.6.1]
enum class protocol : std::uint8_t { fcp = 0x0, sbp = 0x3, srp = 0x4, iscsi = 0x5, sas = 0x6, uas = 0x9 };

/// The name of an initiator port: what reservations, unit attentions and access lists hang on, never a connection.
/// iSCSI: `name` is "iqn.…" and `extension` the ISID as "0x" and 12 lower-case hex digits ("iqn…,i,0x…" together make
/// the port name [RFC7143 4.2.7.1]). Other protocols: `name` is the identifier in lower-case hex, `extension` empty.
struct transport_id {
  scsi::protocol protocol = scsi::protocol::iscsi;
  std::string name;
  std::string extension;
  bool operator==(const transport_id&) const = default;
  auto operator<=>(const transport_id&) const = default;
  std::string to_string() const { return extension.empty() ? name : name + ",i," + extension; }
};

/// TransportID of a parameter list [SPC-4 7.6.4], a multiple of 4 octets.
std::vector<std::uint8_t> encode(const transport_id& id);
/// Decodes one TransportID at the front of `from`; `used` receives its length.
result<transport_id> decode_transport_id(const_bytes from, std::size_t& used);

}  // namespace sluice::scsi
