#include "fabrics/port/task.hpp"

#include <algorithm>
#include <utility>

#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::port {

std::int32_t lun_number(lun address) {
  if (address & 0x0000ffffffffffffull) return -1;
  const unsigned first = static_cast<unsigned>(address >> 48);
  switch (first >> 14) {
    case 0:
      return (first >> 8) == 0 ? static_cast<std::int32_t>(first) : -1;  // peripheral, bus 0 [SAM-5 4.7.7.2]
    case 1:
      return static_cast<std::int32_t>(first & 0x3fff);  // flat [SAM-5 4.7.7.3]
    default:
      return -1;
  }
}

lun lun_address(std::uint16_t number) {
  const std::uint64_t first = number < 256 ? number : (0x4000u | number);
  return first << 48;
}

bool same_unit(lun one, lun other) {
  return one == other || (lun_number(one) >= 0 && lun_number(one) == lun_number(other));
}

const char* to_string(task_function function) {
  switch (function) {
    case task_function::abort_task:
      return "ABORT TASK";
    case task_function::abort_task_set:
      return "ABORT TASK SET";
    case task_function::clear_task_set:
      return "CLEAR TASK SET";
    case task_function::logical_unit_reset:
      return "LOGICAL UNIT RESET";
    case task_function::i_t_nexus_reset:
      return "I_T NEXUS RESET";
    case task_function::target_warm_reset:
      return "TARGET WARM RESET";
    case task_function::target_cold_reset:
      return "TARGET COLD RESET";
    case task_function::clear_aca:
      return "CLEAR ACA";
    case task_function::query_task:
      return "QUERY TASK";
    case task_function::query_task_set:
      return "QUERY TASK SET";
  }
  return "unknown";
}

const char* to_string(silence reason) {
  switch (reason) {
    case silence::none:
      return "answered";
    case silence::aborted:
      return "aborted";
    case silence::cleared:
      return "cleared";
    case silence::reset:
      return "reset";
    case silence::preempted:
      return "preempted";
    case silence::nexus_lost:
      return "nexus lost";
    case silence::transfer_failed:
      return "transfer failed";
    case silence::transport_abort:
      return "aborted by the transport";
    case silence::not_owned:
      return "owned elsewhere";
  }
  return "unknown";
}

namespace {

residual residual_of(std::uint64_t length, std::uint64_t expected) {
  if (expected == unknown_length || length == expected) return {};
  if (length > expected) return {.over = true, .under = false, .octets = length - expected};
  return {.over = false, .under = true, .octets = expected - length};
}

}  // namespace

residual task::residual_out() const {
  return residual_of(length_out, expected_data_out);
}
residual task::residual_in() const {
  return residual_of(length_in, expected_data_in);
}

void task::set_cdb(const_bytes first, const_bytes rest) {
  const std::size_t all = first.size() + rest.size();
  SLUICE_CHECK(all <= max_cdb_bytes);
  cdb_bytes = static_cast<std::uint16_t>(all);
  if (all > cdb.size()) {
    long_cdb.assign(first.begin(), first.end());
    long_cdb.insert(long_cdb.end(), rest.begin(), rest.end());
    std::copy_n(long_cdb.begin(), cdb.size(), cdb.begin());
    return;
  }
  std::copy(rest.begin(), rest.end(), std::copy(first.begin(), first.end(), cdb.begin()));
}

scsi::encoded_sense task::encode_sense(const scsi::sense& what) const {
  scsi::encoded_sense encoded = scsi::encode(what, descriptor_sense);
  encoded.size = static_cast<std::uint8_t>(std::min<std::size_t>(encoded.size, nexus->caps.max_sense_bytes));
  return encoded;
}

void task::reset() {
  nexus.reset();
  fabric = unit = nullptr;
  lun = tag = 0;
  attribute = task_attribute::simple;
  cdb_bytes = 0;
  cdb.fill(0);
  long_cdb.clear();
  expected_data_out = expected_data_in = arrived_ns = 0;
  fabric_private = nullptr;
  payer = nullptr;
  destination.clear();
  data_out.clear();
  data_out_base = data_out_end = wanted_offset = 0;
  wanted_length = 0;
  data_in.clear();
  lent = {};
  if (std::exchange(outcome.status, scsi::status::good) != scsi::status::good) outcome.sense = {};
  length_out = length_in = 0;
  descriptor_sense = false;
  silenced = silence::none;
  ended = transfer_end::done;
  next = previous = nullptr;
  holder = nullptr;
}

}  // namespace sluice::port
