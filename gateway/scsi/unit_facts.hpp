#pragma once
#include <cstdint>
#include <string>

#include "actors/base/bytes.hpp"
#include "gateway/scsi/transport_id.hpp"

namespace sluice::scsi {

/// What a logical unit says about itself, as far as every nexus gets the same answer.
struct unit_facts {
  std::string vendor = "SLUICE";         // 8 octets at most
  std::string product = "VIRTUAL DISK";  // 16 octets at most
  std::string revision = "0001";         // 4 octets at most
  std::string serial;                    // ASCII, up to 64 octets, never changes
  /// NAA 3h, locally assigned: made of `serial`'s unit identity by locally_assigned_naa(), never changes.
  std::uint64_t naa = 0;
  std::uint64_t naa_extension = 0;  // the other 8 octets of an NAA 6h name [SPC-4 7.8.6.6.5]
  std::uint32_t block_size = 512;   // 512 or 4096
  std::uint64_t capacity_blocks = 0;
  std::uint8_t physical_block_exponent = 0;  // physical block = block_size << exponent
  bool thin = false;                         // LBPME: UNMAP and WRITE SAME with UNMAP work
  bool read_only = false;
  bool removable = false;
  bool volatile_cache = true;  // the store acknowledges before data are durable
  bool rotational = false;
  bool explicit_access = false;  // TPGS says that hosts choose which target port group is optimized
  std::uint32_t optimal_granularity_blocks = 8;
  /// OPTIMAL TRANSFER LENGTH. Linux 6.1 sends no request that is longer.
  std::uint32_t optimal_bytes = 4 * mib;
  std::uint32_t max_blocks = 0;  // MAXIMUM TRANSFER LENGTH; 0: no limit
  std::uint32_t max_unmap_blocks = 0x100000;
  std::uint32_t max_unmap_descriptors = 256;
  std::uint32_t unmap_granularity_blocks = 8;
  std::uint64_t max_write_same_blocks = 0x200000;
  bool write_same_needs_length = false;  // WSNZ: WRITE SAME with 0 blocks is refused
  std::uint8_t max_compare_and_write_blocks = 255;
  bool operator==(const unit_facts&) const = default;
};

/// What one nexus's target port adds to the snapshot.
struct port_facts {
  scsi::protocol protocol = scsi::protocol::iscsi;
  std::string target_device_name;  // SCSI name string of the target device, e.g. "iqn.2026-11.io.sluice:main"
  std::string target_port_name;    // "iqn…,t,0x0001"
  std::uint16_t relative_target_port = 1;
  std::uint16_t target_port_group = 1;
  bool multiple_ports = false;  // MULTIP: the target has more than one port
};

/// A well-spread NAA 3h name for 60 bits of identity (hash of the unit's lasting identity) [SPC-4 7.8.6.6.3].
constexpr std::uint64_t locally_assigned_naa(std::uint64_t identity) {
  return 0x3000000000000000u | (identity & 0x0fffffffffffffffu);
}

}  // namespace sluice::scsi
