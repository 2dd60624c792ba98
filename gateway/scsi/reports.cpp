#include "gateway/scsi/reports.hpp"

#include <algorithm>

#include "actors/wire/big_endian.hpp"

namespace sluice::scsi {
namespace {

/// Appends big-endian fields.
class appender {
 public:
  template <unsigned Octets>
  void put(std::uint64_t value) {
    data_.resize(data_.size() + Octets);
    wire::store<Octets>(data_, data_.size() - Octets, value);
  }
  void put(const_bytes octets) { data_.insert(data_.end(), octets.begin(), octets.end()); }
  std::vector<std::uint8_t>& data() { return data_; }

 private:
  std::vector<std::uint8_t> data_;
};

constexpr std::size_t lba_status_header_bytes = 8;
constexpr std::size_t lba_status_descriptor_bytes = 16;

/// Command timeouts descriptor [SPC-4 6.34.4].
void put_timeouts(appender& to, const opcode_row& row) {
  to.put<2>(0x0a);
  to.put<2>(0);
  to.put<4>(0);  // nominal: not said
  to.put<4>(row.timeout_s);
}

std::vector<std::uint8_t> all_opcodes(bool timeouts, const unit_facts& unit) {
  appender to;
  to.put<4>(0);
  for (const opcode_row& row : opcode_table()) {
    if (!row.supported_by(unit)) continue;
    to.put<1>(row.opcode);
    to.put<1>(0);
    to.put<2>(row.has_service_action() ? static_cast<std::uint16_t>(row.service_action) : 0);
    to.put<1>(0);
    to.put<1>((timeouts ? 0x02 : 0x00) | (row.has_service_action() ? 0x01 : 0x00));
    to.put<2>(row.cdb_bytes);
    if (timeouts) put_timeouts(to, row);
  }
  wire::store32(to.data(), 0, to.data().size() - 4);
  return std::move(to.data());
}

std::vector<std::uint8_t> one_opcode(const opcode_row* row, bool timeouts, const unit_facts& unit) {
  appender to;
  to.put<1>(0);
  if (row == nullptr) {
    to.put<1>(0x01);  // not supported
    to.put<2>(0);
    return std::move(to.data());
  }
  to.put<1>((timeouts ? 0x80 : 0x00) | 0x03);  // supported as the standard says
  to.put<2>(row->cdb_bytes);
  const auto usage = row->usage_by(unit);
  to.put(const_bytes(usage).first(row->cdb_bytes));
  if (timeouts) put_timeouts(to, *row);
  return std::move(to.data());
}

}  // namespace

void cut(std::vector<std::uint8_t>& data, std::uint64_t allocation) {
  if (data.size() > allocation) data.resize(allocation);
}

std::vector<std::uint8_t> read_capacity_10_data(const unit_facts& unit) {
  appender to;
  const std::uint64_t last = unit.capacity_blocks == 0 ? 0 : unit.capacity_blocks - 1;
  to.put<4>(std::min<std::uint64_t>(last, UINT32_MAX));
  to.put<4>(unit.block_size);
  return std::move(to.data());
}

std::vector<std::uint8_t> read_capacity_16_data(const unit_facts& unit, std::uint32_t allocation) {
  appender to;
  to.put<8>(unit.capacity_blocks == 0 ? 0 : unit.capacity_blocks - 1);
  to.put<4>(unit.block_size);
  to.put<1>(0);  // no protection information
  to.put<1>(unit.physical_block_exponent & 0x0f);
  to.put<2>(unit.thin ? 0xc000 : 0);  // LBPME, LBPRZ; the lowest aligned LBA is 0
  to.data().resize(32);
  cut(to.data(), allocation);
  return std::move(to.data());
}

std::vector<std::uint8_t> report_luns_data(const report_luns_cdb& cdb, std::span<const std::uint64_t> luns) {
  constexpr std::uint8_t well_known_only = 1;
  if (cdb.select_report == well_known_only) luns = {};
  appender to;
  to.put<4>(luns.size() * 8);
  to.put<4>(0);
  for (const std::uint64_t lun : luns) to.put<8>(lun);
  cut(to.data(), cdb.allocation);
  return std::move(to.data());
}

or_outcome<std::vector<std::uint8_t>> report_opcodes_data(const report_opcodes_cdb& cdb, const unit_facts& unit) {
  enum : std::uint8_t { all = 0, opcode_alone = 1, with_service_action = 2, either = 3 };
  if (cdb.options > either) return tl::unexpected(outcomes::invalid_field_in_cdb(2, 2));
  std::vector<std::uint8_t> data;
  if (cdb.options == all) {
    data = all_opcodes(cdb.timeouts, unit);
  } else {
    const auto rows = rows_of(cdb.opcode);
    const bool has_actions = !rows.empty() && rows.front().has_service_action();
    if (cdb.options == opcode_alone && has_actions) return tl::unexpected(outcomes::invalid_field_in_cdb(2, 2));
    if (cdb.options == with_service_action && !rows.empty() && !has_actions)
      return tl::unexpected(outcomes::invalid_field_in_cdb(2, 2));
    const opcode_row* row = find_row(cdb.opcode, cdb.service_action);
    if (row != nullptr && !row->supported_by(unit)) row = nullptr;
    if (cdb.options == either && !has_actions && cdb.service_action != 0) row = nullptr;
    data = one_opcode(row, cdb.timeouts, unit);
  }
  cut(data, cdb.allocation);
  return data;
}

std::vector<std::uint8_t> report_functions_data(const report_functions_cdb& cdb, bool can_query) {
  std::vector<std::uint8_t> data(cdb.extended ? 16 : 4);
  data[0] = can_query ? 0xde : 0xda;  // ATS, ATSS, CTSS, LURS, QTS, TRS
  data[1] = can_query ? 0x03 : 0;     // QTSS, ITNRS
  if (cdb.extended) data[3] = 0x0c;
  cut(data, cdb.allocation);
  return data;
}

std::vector<std::uint8_t> target_port_groups_data(const report_groups_cdb& cdb,
                                                  std::span<const target_port_group> groups) {
  constexpr std::uint8_t supported_states = 0x8f;  // T_SUP, U_SUP, S_SUP, AN_SUP, AO_SUP
  constexpr std::size_t max_ports = 255;
  appender to;
  to.put<4>(0);
  if (cdb.extended_header) {
    to.put<1>(0x10);
    to.put<3>(0);
  }
  for (const target_port_group& group : groups) {
    const std::size_t ports = std::min(group.ports.size(), max_ports);
    to.put<1>((group.preferred ? 0x80 : 0x00) | static_cast<unsigned>(group.state));
    to.put<1>(supported_states);
    to.put<2>(group.number);
    to.put<1>(0);
    to.put<1>(group.status);
    to.put<1>(0);
    to.put<1>(ports);
    for (std::size_t i = 0; i < ports; ++i) to.put<4>(group.ports[i]);
  }
  wire::store32(to.data(), 0, to.data().size() - 4);
  cut(to.data(), cdb.allocation);
  return std::move(to.data());
}

std::uint32_t lba_status_limit(std::uint32_t allocation) {
  if (allocation < lba_status_header_bytes + lba_status_descriptor_bytes) return 1;
  return static_cast<std::uint32_t>((allocation - lba_status_header_bytes) / lba_status_descriptor_bytes);
}

std::vector<std::uint8_t> lba_status_data(const get_lba_status_cdb& cdb, std::span<const lba_status> runs) {
  const std::uint32_t limit = lba_status_limit(cdb.allocation);
  appender to;
  to.put<8>(0);
  std::uint32_t count = 0;
  for (lba_status run : runs) {
    while (run.blocks > 0 && count < limit) {
      const std::uint64_t blocks = std::min<std::uint64_t>(run.blocks, UINT32_MAX);
      to.put<8>(run.lba);
      to.put<4>(blocks);
      to.put<1>(static_cast<unsigned>(run.state));
      to.put<3>(0);
      run.lba += blocks;
      run.blocks -= blocks;
      ++count;
    }
  }
  wire::store32(to.data(), 0, to.data().size() - 4);
  cut(to.data(), cdb.allocation);
  return std::move(to.data());
}

std::vector<std::uint8_t> defect_data(const opcode_row& row, const_bytes cdb) {
  const bool ten = row.cdb_bytes == 10;
  const std::size_t request = ten ? 2 : 1;
  std::vector<std::uint8_t> data(ten ? 4 : 8);
  if (cdb.size() > request) data[1] = cdb[request] & 0x1f;  // the lists asked for, in the format asked for: empty
  cut(data, parameter_length(row, cdb));
  return data;
}

}  // namespace sluice::scsi
