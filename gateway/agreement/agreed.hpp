#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "actors/base/global_id.hpp"
#include "gateway/agreement/effects.hpp"
#include "gateway/scsi/mode_pages.hpp"
#include "gateway/scsi/reports.hpp"

namespace sluice::agreement {

/// One change as the other gateways learn of it: they apply its orders when they take its epoch in.
struct event {
  std::uint64_t epoch = 0;
  std::uint64_t nexus = 0, request = 0;  // who asked for it; 0: nobody
  std::vector<attention_order> attentions;
  std::vector<abort_order> aborts;
  bool operator==(const event&) const = default;
};

/// How many events are kept, and how many orders in them (the newest event is kept whatever its size). A member that
/// lags further behind must join anew.
inline constexpr std::size_t max_events = 64, max_orders = 4096;

/// Which gateway may touch the blocks of a unit that several share. The ports of the others are in standby, or active
/// but not optimized: those of gateways that relay commands to the owner.
struct ownership {
  gateway_id owner = 0;     // 0: nobody; who finds it so claims it
  gateway_id heir = 0;      // while nobody owns it: the member that it is meant for; 0: whoever comes first
  std::uint64_t epoch = 0;  // at which it was given or given up: a claim names the one that it found
  bool operator==(const ownership&) const = default;
};

/// Everything about a logical unit that all gateways which serve it, and all their cores, must agree on: a value. What
/// each gateway knows by itself (its store's capacity, its configuration) is not part of it.
///
/// Invariants: each nexus named here belongs to a member (a gateway's nexuses are dropped when it leaves, is gone, or
/// joins anew), and so does an owner; with more than one member, `events` holds each epoch since some past one without
/// a gap.
struct agreed {
  std::uint64_t epoch = 0;  // of the record that this was read from, or is to become
  std::string serial;       // the unit's identity: 32 hex digits, made once; empty: not made yet
  scsi::mode_state mode;
  std::optional<scsi::mode_state> saved_mode;  // none: nothing was ever saved, the defaults of the medium count
  reservations::state reservations;
  std::uint64_t reserve_holder = 0;             // nexus id with a RESERVE(6)/(10) reservation; 0: nobody
  bool stopped = false;                         // by START STOP UNIT
  std::vector<std::uint64_t> prevents_removal;  // nexus ids that sent PREVENT
  std::map<gateway_id, std::uint64_t> members;  // gateways that serve the unit, with the number of this stay
  std::map<gateway_id, std::vector<scsi::target_port_group>> ports;  // target port groups, as each gateway says
  std::optional<ownership> owned;  // none: gateways do not share it, or all may touch it
  std::deque<event> events;        // newest last; for members that lag behind

  bool operator==(const agreed&) const = default;
};

/// How the ports of a gateway stand. One that relays says so by the state of its own groups.
scsi::asymmetric_access access_through(const agreed& now, gateway_id gateway);
/// Of all gateways, each group once.
std::vector<scsi::target_port_group> groups_of(const agreed& now);
/// Relative target port identifiers of all of them.
std::vector<std::uint16_t> target_ports_of(const agreed& now);

/// The part that survives the loss of power of all gateways: a change of it must be durable before anybody hears of it.
struct lasting {
  std::string serial;
  std::optional<scsi::mode_state> saved_mode;
  std::optional<reservations::state> reservations;  // with APTPL and a registrant; PRGENERATION does not last
  bool operator==(const lasting&) const = default;
};
lasting lasting_part(const agreed& now);

}  // namespace sluice::agreement
