#pragma once
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "actors/base/bytes.hpp"
#include "fabrics/port/task.hpp"
#include "gateway/agreement/agreed.hpp"
#include "gateway/scsi/outcome.hpp"
#include "gateway/scsi/unit_facts.hpp"

/// The coordinator of a logical unit as a pure function: what is agreed, and a change that somebody wants, give what
/// will be agreed and what that does. No clock, no loop, no storage, no chance: each gateway that decides the same
/// change on the same state decides the same, so a decision that lost the race (a conflict) is simply made anew.
namespace sluice::agreement {

/// A command that changes agreed state: PERSISTENT RESERVE OUT, RESERVE, RELEASE, MODE SELECT, START STOP UNIT, PREVENT
/// ALLOW MEDIUM REMOVAL. The views last as long as the call.
struct command {
  std::uint64_t nexus = 0, request = 0;  // the sender; its own number for the command, not 0
  reservations::i_t who;
  const_bytes cdb;
  const_bytes parameters;  // data-out
  /// Initiator ports that have a nexus with the gateway that was asked: what a TransportID without ISID stands for.
  std::span<const scsi::transport_id> known = {};
};
/// CLEAR TASK SET, LOGICAL UNIT RESET or a target reset.
struct reset {
  std::uint64_t nexus = 0, request = 0;
  port::task_function function = port::task_function::logical_unit_reset;
};
/// A nexus is gone, or was reset: RESERVE and PREVENT of it end.
struct nexus_loss {
  std::uint64_t nexus = 0;
};
/// The target port groups through which a gateway shows the unit.
struct port_groups {
  gateway_id gateway = 0;
  std::vector<scsi::target_port_group> groups;
};
struct clear_reservations {};  // the operator's word
/// A gateway begins to serve the unit. When no other does, the unit was without power: only what lasts is left.
struct join {
  gateway_id gateway = 0;
  std::uint64_t incarnation = 0;  // another one for each stay
  std::string serial;             // the identity if it has none yet
  std::vector<scsi::target_port_group> groups;
  bool replaces = false;  // the gateway serves it already, with another store: what was reserved persistently stays
  bool shares = false;    // with other gateways, of which one at a time may touch the blocks
};
/// Takes the place of the unit back to which a `join` that replaces has given it, with what only this one remembers.
struct resume {
  gateway_id gateway = 0;
  std::uint64_t incarnation = 0;
  agreed remembered;
};
/// A member is there no more.
struct leave {
  gateway_id gateway = 0;
  std::uint64_t incarnation = 0;
};
/// A member takes what nobody owns. It has made sure that all others obey the epoch in which that was given up, and
/// that nothing of a former owner that is gone can reach the medium any more.
struct claim {
  gateway_id gateway = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t given_up = 0;  // ownership::epoch
};
/// The owner gives it up for another member: what it has under way ends, and then that one claims it.
struct move {
  gateway_id to = 0;
};
/// What came by a gateway that relays ends at the unit's owner, for the two cannot reach each other.
struct cut {
  gateway_id relays = 0;
};
using change =
    std::variant<command, reset, nexus_loss, port_groups, clear_reservations, join, resume, leave, claim, move, cut>;

struct decision {
  std::optional<agreed> next;  // none: nothing changes, and the outcome can be told at once
  scsi::outcome outcome;       // of a command, once the change is in force everywhere
  std::vector<attention_order> attentions;
  std::vector<abort_order> aborts;
  bool lasts = false;  // must be durable first
  /// The gateway that is to own the unit before the outcome is told, by a change of its own; 0: none.
  gateway_id moves_to = 0;
};

/// `facts`: what the gateway that was asked knows of the unit. Total: whatever initiators send gives an outcome.
decision decide(const agreed& now, const change& wanted, const scsi::unit_facts& facts);

}  // namespace sluice::agreement
