#pragma once
#include <compare>
#include <cstdint>
#include <string>

#include "gateway/scsi/transport_id.hpp"

/// Who a target port is: a value, equal everywhere, never an address of a running thing.
namespace sluice::port {

/// Identity of a target port in one gateway. Two ports of one name in different target port groups are two ports.
struct port_id {
  std::string fabric;  // "iscsi"
  std::string name;    // as the fabric spells names: an iSCSI name, a WWPN, an EUI-64, a path
  std::uint16_t group = 1;
  auto operator<=>(const port_id&) const = default;
  /// "iscsi iqn.2026-11.io.sluice:main group 1"
  std::string to_string() const { return fabric + " " + name + " group " + std::to_string(group); }
};

/// What the SCSI core says of a target port to initiators; made by the port's fabric.
struct port_descriptor {
  port_id id;
  scsi::protocol protocol = scsi::protocol::iscsi;
  std::string scsi_name;    // SCSI target port name, "iqn…,t,0x0001" [SPC-4 7.8.5.11]; empty: there is none
  std::string device_name;  // SCSI target device name; empty: there is none
  /// Whether initiators have names that access lists can hold. Without (USB, a virtual machine's port), whoever is
  /// wired to the port is the initiator: the port admits it and shows it the target's own LUNs.
  bool names_initiators = true;
};

}  // namespace sluice::port
