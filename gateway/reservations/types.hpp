#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/scsi/outcome.hpp"
#include "gateway/scsi/transport_id.hpp"

/// Persistent reservations [SPC-4 5.12] and the reservations of SPC-2, as a pure state machine: no clock, no I/O.
namespace sluice::reservations {

/// An I_T nexus as reservations know it: it outlives connections and restarts [SPC-4 5.12.1].
struct i_t {
  scsi::transport_id initiator;
  std::uint16_t relative_target_port = 1;
  bool operator==(const i_t&) const = default;
  auto operator<=>(const i_t&) const = default;
};

/// [SPC-4 6.15.3.4]
enum class type : std::uint8_t {
  none = 0,
  write_exclusive = 1,
  exclusive_access = 3,
  write_exclusive_registrants_only = 5,
  exclusive_access_registrants_only = 6,
  write_exclusive_all_registrants = 7,
  exclusive_access_all_registrants = 8,
};
bool is_type(std::uint8_t value);
inline bool is_all_registrants(type t) {
  return t == type::write_exclusive_all_registrants || t == type::exclusive_access_all_registrants;
}
inline bool is_registrants_only(type t) {
  return t == type::write_exclusive_registrants_only || t == type::exclusive_access_registrants_only;
}
inline bool is_write_exclusive(type t) {
  return t == type::write_exclusive || t == type::write_exclusive_registrants_only ||
         t == type::write_exclusive_all_registrants;
}

struct registrant {
  i_t who;
  std::uint64_t key = 0;  // never 0
  bool operator==(const registrant&) const = default;
};

/// Everything that persistent reservations know of one logical unit: a value, copied into the snapshots that shards
/// read. Invariants: keys are not 0, registrants are distinct; a reservation has a holder among the registrants, or,
/// when its type is all registrants, at least one registrant.
struct state {
  std::vector<registrant> registrants;
  reservations::type type = reservations::type::none;
  std::optional<i_t> holder;     // absent without reservation and for the all registrants types
  std::uint32_t generation = 0;  // PRGENERATION; starts anew with the gateway
  bool aptpl = false;            // survives power loss
  bool reserved() const { return type != reservations::type::none; }
  const registrant* find(const i_t& who) const;
  bool holds(const i_t& who) const;
  bool operator==(const state&) const = default;
};

/// The most registrants that one unit keeps; more is INSUFFICIENT REGISTRATION RESOURCES.
inline constexpr std::size_t max_registrants = 1024;

/// [SPC-4 6.16.2]
enum class service_action : std::uint8_t {
  register_key = 0,
  reserve = 1,
  release = 2,
  clear = 3,
  preempt = 4,
  preempt_and_abort = 5,
  register_and_ignore = 6,
  register_and_move = 7,
};

/// A PERSISTENT RESERVE OUT command, decoded.
struct request {
  service_action action = service_action::register_key;
  std::uint8_t scope = 0;
  std::uint8_t type = 0;  // as in the CDB, not yet checked
  std::uint64_t key = 0;
  std::uint64_t action_key = 0;
  bool spec_i_pt = false, all_tg_pt = false, aptpl = false;
  bool unregister = false;             // REGISTER AND MOVE
  std::uint16_t move_target_port = 0;  // REGISTER AND MOVE
  std::vector<scsi::transport_id> initiators;
};

enum class verdict : std::uint8_t {
  good,
  conflict,                         // RESERVATION CONFLICT
  invalid_field_in_cdb,             // `field_byte` of the CDB
  invalid_field_in_parameter_list,  // `field_byte` of the parameter list
  parameter_list_length_error,
  invalid_release,         // INVALID RELEASE OF PERSISTENT RESERVATION
  insufficient_resources,  // INSUFFICIENT REGISTRATION RESOURCES
};

struct attention {
  i_t who;
  scsi::additional_sense code;
};

/// What a command did, beside changing the state.
struct effects {
  reservations::verdict verdict = reservations::verdict::good;
  std::uint16_t field_byte = 0;
  bool changed = false;               // the state differs; publish it
  std::vector<attention> attentions;  // unit attention conditions to establish
  std::vector<i_t> aborts;            // whose tasks PREEMPT AND ABORT ends
};

}  // namespace sluice::reservations
