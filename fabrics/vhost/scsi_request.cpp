#include "fabrics/vhost/scsi_request.hpp"

#include <algorithm>

#include "actors/wire/big_endian.hpp"
#include "actors/wire/little_endian.hpp"

namespace sluice::vhost {
namespace {

namespace le = wire::little;

std::optional<port::task_function> function_of(std::uint32_t subtype) {
  using port::task_function;
  constexpr task_function all[] = {task_function::abort_task,      task_function::abort_task_set,
                                   task_function::clear_aca,       task_function::clear_task_set,
                                   task_function::i_t_nexus_reset, task_function::logical_unit_reset,
                                   task_function::query_task,      task_function::query_task_set};
  return subtype < std::size(all) ? std::optional(all[subtype]) : std::nullopt;
}

port::task_attribute attribute_of(std::uint8_t code) {
  switch (code) {
    case 1:
      return port::task_attribute::ordered;
    case 2:
      return port::task_attribute::head_of_queue;
    case 3:
      return port::task_attribute::aca;
    default:
      return port::task_attribute::simple;
  }
}

}  // namespace

std::optional<address> decode_lun(const_bytes eight) {
  if (eight.size() < 8) return std::nullopt;
  // The well known unit that reports LUNs, which needs no target; else 1, a target, and a single level LUN.
  if (eight[0] == 0xc1) return address{0, wire::load64(eight, 0)};
  if (eight[0] != 1 || wire::load32(eight, 4) != 0) return std::nullopt;
  return address{eight[1], std::uint64_t{wire::load16(eight, 2)} << 48};
}

void encode_lun(port::lun lun, bytes eight) {
  const std::int32_t number = std::max(0, port::lun_number(lun));
  std::fill_n(eight.begin(), 8, 0);
  eight[0] = 1;
  wire::store16(eight, 2, port::lun_address(static_cast<std::uint16_t>(number)) >> 48);
}

std::size_t command_header::cdb_length() const {
  constexpr std::uint8_t variable_length = 0x7f;
  return cdb[0] == variable_length ? cdb_bytes : 16;
}

command_header decode_command(const_bytes from) {
  SLUICE_CHECK(from.size() >= command_header::bytes);
  command_header h;
  h.where = decode_lun(from.first(8));
  h.tag = le::load64(from, 8);
  h.attribute = attribute_of(from[16]);
  std::copy_n(from.begin() + 19, cdb_bytes, h.cdb.begin());
  return h;
}

std::array<std::uint8_t, command_response::bytes> encode(const command_response& r) {
  std::array<std::uint8_t, command_response::bytes> out{};
  const std::size_t sense = std::min(r.sense.size(), sense_bytes);
  le::store32(out, 0, static_cast<std::uint32_t>(sense));
  le::store32(out, 4, r.residual);
  out[10] = static_cast<std::uint8_t>(r.status);
  out[11] = static_cast<std::uint8_t>(r.code);
  std::copy_n(r.sense.begin(), sense, out.begin() + 12);
  return out;
}

std::optional<control_request> decode_control(const_bytes from) {
  if (from.size() < control_request::min_bytes) return std::nullopt;
  control_request r;
  switch (le::load32(from, 0)) {
    case 0:
      if (from.size() < control_request::management_bytes) return std::nullopt;
      r.what = control_request::kind::task_management;
      r.function = function_of(le::load32(from, 4));
      r.where = decode_lun(from.subspan(8, 8));
      r.tag = le::load64(from, 16);
      return r;
    case 1:
    case 2:
      if (from.size() < control_request::events_bytes) return std::nullopt;
      r.what = from[0] == 1 ? control_request::kind::query_events : control_request::kind::subscribe_events;
      r.where = decode_lun(from.subspan(4, 8));
      return r;
    default:
      return std::nullopt;
  }
}

response_code code_of(port::task_response how) {
  switch (how) {
    case port::task_response::function_complete:
      return response_code::ok;
    case port::task_response::function_succeeded:
      return response_code::function_succeeded;
    case port::task_response::task_does_not_exist:
      return response_code::ok;  // it is over, which is what the guest wants
    case port::task_response::lun_does_not_exist:
      return response_code::incorrect_lun;
    case port::task_response::not_supported:
    case port::task_response::rejected:
      return response_code::function_rejected;
  }
  return response_code::function_rejected;
}

std::optional<response_code> code_of(port::silence why) {
  switch (why) {
    case port::silence::none:
      return response_code::ok;
    case port::silence::reset:
      return response_code::reset;
    case port::silence::aborted:
    case port::silence::cleared:
    case port::silence::preempted:
      return response_code::aborted;
    case port::silence::transfer_failed:
    case port::silence::transport_abort:
    case port::silence::not_owned:
      return response_code::transport_failure;
    case port::silence::nexus_lost:
      return std::nullopt;
  }
  return response_code::failure;
}

event lun_added(port::lun lun) {
  return {event::kind::transport_reset, false, lun, static_cast<std::uint32_t>(event::reset_reason::rescan)};
}
event lun_removed(port::lun lun) {
  return {event::kind::transport_reset, false, lun, static_cast<std::uint32_t>(event::reset_reason::removed)};
}
event parameters_changed(port::lun lun, scsi::additional_sense code) {
  return {event::kind::parameter_change, false, lun, static_cast<std::uint32_t>(code >> 8 | (code & 0xff) << 8)};
}

std::array<std::uint8_t, event::bytes> encode(const event& e) {
  constexpr std::uint32_t events_missed = 0x80000000;
  std::array<std::uint8_t, event::bytes> out{};
  le::store32(out, 0, static_cast<std::uint32_t>(e.what) | (e.missed ? events_missed : 0));
  encode_lun(e.lun, bytes(out).subspan(4, 8));
  le::store32(out, 12, e.reason);
  return out;
}

}  // namespace sluice::vhost
