#pragma once
#include <array>
#include <cstdint>
#include <optional>

#include "actors/base/bytes.hpp"
#include "fabrics/port/task.hpp"

/// Requests, responses and events of a virtio SCSI host, as values [VIRTIO 5.6.6].
namespace sluice::vhost {

inline constexpr std::size_t cdb_bytes = 32, sense_bytes = 96;  // as the front end's configuration space says

/// What a LUN field addresses: a target, and a unit in it [VIRTIO 5.6.6.1]. Ours is target 0.
struct address {
  std::uint8_t target = 0;
  port::lun lun = 0;
};
/// nullopt: of a form that there is not.
std::optional<address> decode_lun(const_bytes eight);
/// In the form that REPORT LUNS has, by which Linux looks for the unit of an event.
void encode_lun(port::lun lun, bytes eight);

/// A command, from the head of a chain's readable memory.
struct command_header {
  static constexpr std::size_t bytes = 19 + cdb_bytes;
  std::optional<address> where;
  std::uint64_t tag = 0;  // the guest's word: nothing says that it is unique
  port::task_attribute attribute = port::task_attribute::simple;
  std::array<std::uint8_t, cdb_bytes> cdb{};
  /// The octets of the CDB that its operation code makes of them [SPC-4 4.2.5].
  std::size_t cdb_length() const;
};
command_header decode_command(const_bytes from);  // of `bytes` octets

/// [VIRTIO 5.6.6.1.1]
enum class response_code : std::uint8_t {
  ok = 0,
  overrun = 1,
  aborted = 2,
  bad_target = 3,
  reset = 4,
  busy = 5,
  transport_failure = 6,
  target_failure = 7,
  nexus_failure = 8,
  failure = 9,
  function_succeeded = 10,
  function_rejected = 11,
  incorrect_lun = 12,
};

/// The response to a command, at the head of a chain's writable memory.
struct command_response {
  static constexpr std::size_t bytes = 12 + sense_bytes;
  response_code code = response_code::ok;
  scsi::status status = scsi::status::good;
  std::uint32_t residual = 0;  // octets
  const_bytes sense{};         // at most sense_bytes
};
std::array<std::uint8_t, command_response::bytes> encode(const command_response& r);

/// A request on the control queue.
struct control_request {
  enum class kind : std::uint8_t { task_management = 0, query_events = 1, subscribe_events = 2 };
  static constexpr std::size_t management_bytes = 24, events_bytes = 16, min_bytes = 4;
  kind what = kind::task_management;
  std::optional<port::task_function> function;  // none: one that there is not
  std::optional<address> where;
  std::uint64_t tag = 0;  // of the task that the function is about
};
/// From the readable memory of a chain; nullopt when it is no request.
std::optional<control_request> decode_control(const_bytes from);
response_code code_of(port::task_response how);

/// How a command that ended without a status is answered; nullopt: not at all, it is left for whoever comes next.
std::optional<response_code> code_of(port::silence why);

/// An event [VIRTIO 5.6.6.3].
struct event {
  static constexpr std::size_t bytes = 16;
  enum class kind : std::uint32_t { none = 0, transport_reset = 1, parameter_change = 3 };
  enum class reset_reason : std::uint32_t { hard = 0, rescan = 1, removed = 2 };
  kind what = kind::none;
  bool missed = false;  // others were lost before it
  port::lun lun = 0;
  std::uint32_t reason = 0;
};
event lun_added(port::lun lun);
event lun_removed(port::lun lun);
event parameters_changed(port::lun lun, scsi::additional_sense code);
std::array<std::uint8_t, event::bytes> encode(const event& e);

}  // namespace sluice::vhost
