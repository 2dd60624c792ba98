#include "gateway/reservations/report.hpp"
#include "gateway/scsi/inquiry.hpp"
#include "gateway/unit/jobs.hpp"

// Commands that are answered from the snapshot alone, at once.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

using data = std::vector<std::uint8_t>;
using data_or_outcome = scsi::or_outcome<data>;

scsi::port_facts port_facts_of(const unit_snapshot& now, const port::i_t_nexus& nexus) {
  scsi::port_facts facts;
  facts.protocol = nexus.port.protocol;
  facts.target_port_name = nexus.port.scsi_name;
  facts.target_device_name = nexus.port.device_name;
  facts.relative_target_port = nexus.relative_target_port;
  facts.target_port_group = nexus.port.id.group;
  facts.multiple_ports = now.target_ports().size() > 1;
  return facts;
}

data_or_outcome inquiry(const unit_snapshot& now, const command& c) {
  const auto cdb = scsi::decode_inquiry(c.cdb());
  if (!cdb) return tl::unexpected<scsi::outcome>(cdb.error());
  return scsi::inquiry_data(*cdb, now.facts, port_facts_of(now, *c.nexus->identity));
}

/// Parameter data: the sense data that the next command would have got [SPC-4 6.39].
data request_sense(const unit_snapshot& now, command& c) {
  const scsi::request_sense_cdb cdb = scsi::decode_request_sense(c.cdb());
  scsi::sense sense;
  if (const auto code = c.nexus->attentions.take()) {
    sense = outcomes::unit_attention(*code).sense;
  } else if (c.nexus->attentions.with_deferred([](deferred_error& e) { return e.take(); })) {
    sense = outcomes::deferred_write_error().sense;
  } else if (now.stopped) {
    sense = outcomes::not_ready(scsi::asc::initializing_command_required).sense;
  }
  const scsi::encoded_sense encoded = scsi::encode(sense, cdb.descriptor);
  data octets(encoded.span().begin(), encoded.span().end());
  scsi::cut(octets, cdb.allocation);
  return octets;
}

data_or_outcome target_port_groups(const unit_snapshot& now, const command& c) {
  const auto cdb = scsi::decode_report_groups(c.cdb());
  if (!cdb) return tl::unexpected<scsi::outcome>(cdb.error());
  return scsi::target_port_groups_data(*cdb, now.groups);
}

/// The LUN that the task came by; the nexus answers for all of its LUNs itself.
data_or_outcome luns(const command& c) {
  const auto cdb = scsi::decode_report_luns(c.cdb());
  if (!cdb) return tl::unexpected<scsi::outcome>(cdb.error());
  const std::uint64_t only[] = {c.task->lun};
  return scsi::report_luns_data(*cdb, only);
}

data persistent_reserve_in(const unit_snapshot& now, const command& c) {
  const scsi::pr_in_cdb cdb = scsi::decode_pr_in(c.cdb());
  data octets = reservations::report(cdb.action, now.reservations);
  scsi::cut(octets, cdb.allocation);
  return octets;
}

data_or_outcome parameter_data(const unit_snapshot& now, command& c) {
  const scsi::opcode_row& row = *c.row;
  switch (row.what) {
    case scsi::command::send_diagnostic:
      return data{};  // the default self-test of a unit that works has passed
    case scsi::command::inquiry:
      return inquiry(now, c);
    case scsi::command::request_sense:
      return request_sense(now, c);
    case scsi::command::mode_sense:
      return scsi::mode_sense_data(scsi::decode_mode_sense(row, c.cdb()), now.facts, now.mode, &now.mode_saved);
    case scsi::command::read_capacity_10:
      return scsi::read_capacity_10_data(now.facts);
    case scsi::command::read_capacity_16:
      return scsi::read_capacity_16_data(now.facts, scsi::parameter_length(row, c.cdb()));
    case scsi::command::read_defect_data:
      return scsi::defect_data(row, c.cdb());
    case scsi::command::persistent_reserve_in:
      return persistent_reserve_in(now, c);
    case scsi::command::report_luns:
      return luns(c);
    case scsi::command::report_target_port_groups:
      return target_port_groups(now, c);
    case scsi::command::report_supported_operation_codes:
      return scsi::report_opcodes_data(scsi::decode_report_opcodes(c.cdb()), now.facts);
    case scsi::command::report_supported_task_management_functions:
      return scsi::report_functions_data(scsi::decode_report_functions(c.cdb()), c.nexus->identity->caps.can_query);
    default:
      return tl::unexpected<scsi::outcome>(outcomes::invalid_opcode());
  }
}

}  // namespace

scsi::outcome from_snapshot(shard& s, command& c) {
  const data_or_outcome found = parameter_data(s.snapshot(), c);
  if (c.row->what == scsi::command::request_sense) s.attentions_changed(c);
  if (!found) return found.error();
  return answer(s, c, *found);
}

}  // namespace sluice::unit
