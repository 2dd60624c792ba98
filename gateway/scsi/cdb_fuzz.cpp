#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "actors/base/check.hpp"
#include "gateway/scsi/inquiry.hpp"
#include "gateway/scsi/mode_pages.hpp"
#include "gateway/scsi/parameter_lists.hpp"
#include "gateway/scsi/reports.hpp"

/// The first octet is the length of the CDB, then the CDB, then the parameter list: what a device server would do with
/// them, as far as it is pure.
namespace sluice::scsi {
namespace {

constexpr std::size_t max_data = 70'000;

unit_facts facts(bool thin) {
  unit_facts unit;
  unit.serial = "0123456789abcdef";
  unit.capacity_blocks = 1 << 20;
  unit.thin = thin;
  return unit;
}

void check_size(const or_outcome<std::vector<std::uint8_t>>& data, std::size_t allocation) {
  if (data) SLUICE_CHECK(data->size() <= allocation && data->size() <= max_data);
}

void run_block_command(const opcode_row& row, const_bytes cdb, const unit_facts& unit) {
  auto block = decode_block_command(row, cdb);
  if (!block || !fit_to_unit(*block, unit)) return;
  SLUICE_CHECK(block->lba + block->blocks <= unit.capacity_blocks);
  SLUICE_CHECK(block->transfer_bytes(unit.block_size) <= 2 * unit.capacity_blocks * unit.block_size);
}

void run_unmap(const_bytes list, const unit_facts& unit) {
  const auto ranges = parse_unmap(list, {.capacity_blocks = unit.capacity_blocks,
                                         .max_blocks = unit.max_unmap_blocks,
                                         .max_descriptors = unit.max_unmap_descriptors});
  if (!ranges) return;
  for (const block_range& r : *ranges) SLUICE_CHECK(r.blocks > 0 && r.lba + r.blocks <= unit.capacity_blocks);
}

void run_transport_id(const transport_id& id) {
  std::size_t used = 0;
  const auto again = decode_transport_id(encode(id), used);
  SLUICE_CHECK(again && *again == id);
}

void run_pr_out(const_bytes cdb, const_bytes list) {
  const pr_out_action action = decode_pr_out(cdb).action;
  if (action == pr_out_action::register_and_move) {
    if (const auto move = parse_pr_move(list)) run_transport_id(move->destination);
  } else if (const auto out = parse_pr_out(action, list)) {
    for (const transport_id& id : out->initiators) run_transport_id(id);
  }
}

void run_description(const opcode_row& row, const_bytes cdb, const unit_facts& unit) {
  const std::size_t room = parameter_length(row, cdb);
  switch (row.what) {
    case command::inquiry:
      if (const auto c = decode_inquiry(cdb)) {
        check_size(inquiry_data(*c, unit, {}), room);
        check_size(inquiry_data_without_unit(*c), room);
      }
      return;
    case command::mode_sense:
      return check_size(mode_sense_data(decode_mode_sense(row, cdb), unit, default_mode_state(unit)), room);
    case command::report_supported_operation_codes:
      return check_size(report_opcodes_data(decode_report_opcodes(cdb), unit), room);
    case command::report_supported_task_management_functions:
      return check_size(report_functions_data(decode_report_functions(cdb), (cdb.size() & 1) != 0), room);
    case command::read_defect_data:
      return check_size(defect_data(row, cdb), room);
    case command::report_luns:
      if (const auto c = decode_report_luns(cdb)) check_size(report_luns_data(*c, {}), room);
      return;
    default:
      return;
  }
}

void run(const_bytes cdb, const_bytes list, const unit_facts& unit) {
  const auto row = check_cdb(cdb, unit);
  if (!row) {
    SLUICE_CHECK(row.error().status == status::check_condition);
    return;
  }
  SLUICE_CHECK(cdb.size() >= (*row)->cdb_bytes);
  if ((*row)->what == command::unmap) return run_unmap(list, unit);
  if ((*row)->what == command::persistent_reserve_out) return run_pr_out(cdb, list);
  if ((*row)->what == command::set_target_port_groups) {
    const auto wanted = parse_wanted_groups(list);
    SLUICE_CHECK(!wanted || wanted->size() <= list.size() / 4);
    return;
  }
  if ((*row)->what == command::mode_select) {
    (void)apply_mode_select(decode_mode_select(**row, cdb), list, unit, default_mode_state(unit));
    return;
  }
  if ((*row)->overlap != overlap_rule::none && (*row)->what != command::start_stop_unit)
    run_block_command(**row, cdb, unit);
  run_description(**row, cdb, unit);
}

}  // namespace
}  // namespace sluice::scsi

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const sluice::const_bytes rest(data + 1, size - 1);
  const std::size_t octets = std::min<std::size_t>(data[0] & 0x1f, rest.size());
  const auto unit = sluice::scsi::facts((data[0] & 0x80) != 0);
  sluice::scsi::run(rest.first(octets), rest.subspan(octets), unit);
  (void)sluice::scsi::decode_sense(rest);
  return 0;
}
