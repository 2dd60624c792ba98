#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gateway/scsi/cdb.hpp"
#include "gateway/scsi/unit_facts.hpp"

/// Data that describe the unit, its LUNs, groups and commands. All are cut to the allocation length, where there is
/// one.
namespace sluice::scsi {

/// Cuts parameter data to what the initiator has room for; lengths inside keep their full values [SPC-4 4.2.5.6].
void cut(std::vector<std::uint8_t>& data, std::uint64_t allocation);

/// [SBC-3 5.15]: FFFFFFFFh when the last LBA does not fit. 8 octets.
std::vector<std::uint8_t> read_capacity_10_data(const unit_facts& unit);
/// [SBC-3 5.16]
std::vector<std::uint8_t> read_capacity_16_data(const unit_facts& unit, std::uint32_t allocation);

/// `luns`: the wire forms [SAM-5 4.7] of the nexus's LUNs, ascending. SELECT REPORT 01h (well known) lists none.
std::vector<std::uint8_t> report_luns_data(const report_luns_cdb& cdb, std::span<const std::uint64_t> luns);

/// The commands that `unit` supports [SPC-4 6.34].
or_outcome<std::vector<std::uint8_t>> report_opcodes_data(const report_opcodes_cdb& cdb, const unit_facts& unit);
/// ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, TARGET RESET; I_T NEXUS RESET, QUERY TASK, QUERY
/// TASK SET if the transport has them [SPC-4 6.36].
std::vector<std::uint8_t> report_functions_data(const report_functions_cdb& cdb, bool can_query);

/// [SPC-4 6.37]
enum class asymmetric_access : std::uint8_t {
  active_optimized = 0x0,
  active_non_optimized = 0x1,
  standby = 0x2,
  unavailable = 0x3,
  offline = 0xe,
  transitioning = 0xf,
};
struct target_port_group {
  std::uint16_t number = 1;
  asymmetric_access state = asymmetric_access::active_optimized;
  bool preferred = false;
  std::uint8_t status = 0;           // why it changed: 0 never, 1 SET TARGET PORT GROUPS, 2 implicitly
  std::vector<std::uint16_t> ports;  // relative target port identifiers
  bool operator==(const target_port_group&) const = default;
};
std::vector<std::uint8_t> target_port_groups_data(const report_groups_cdb& cdb,
                                                  std::span<const target_port_group> groups);

/// [SBC-3 5.4]
enum class provisioning : std::uint8_t { mapped = 0, deallocated = 1, anchored = 2 };
struct lba_status {
  std::uint64_t lba = 0;
  std::uint64_t blocks = 0;
  provisioning state = provisioning::mapped;
};
/// How many descriptors fit into the allocation length (at least 1, so that one is looked up).
std::uint32_t lba_status_limit(std::uint32_t allocation);
/// `runs`: in order, from the CDB's LBA on, merged. The caller has refused an LBA beyond the last. Runs of more blocks
/// than 32 bits hold are split.
std::vector<std::uint8_t> lba_status_data(const get_lba_status_cdb& cdb, std::span<const lba_status> runs);

/// READ DEFECT DATA(10) and (12): empty lists in the format asked for [SBC-3 5.17].
std::vector<std::uint8_t> defect_data(const opcode_row& row, const_bytes cdb);

}  // namespace sluice::scsi
