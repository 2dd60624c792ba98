#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "fabrics/port/task.hpp"
#include "gateway/agreement/effects.hpp"
#include "gateway/reservations/types.hpp"
#include "gateway/unit/snapshot.hpp"

/// The messages between the coordinator of a logical unit and its shards, one per core, within one gateway; between
/// gateways goes what state/authority.hpp says. Values without pointers into either side, so that they may cross cores.
/// Messages of one sender to one receiver arrive in order; nothing else is promised about when. READ, WRITE and
/// everything that only looks at the snapshot sends none. Ids of nexuses and range locks are unique among all gateways
/// (actors/base/ global_id.hpp); `id` of a request is its shard's own.
namespace sluice::unit {

using agreement::abort_manner;
using agreement::abort_order;
using agreement::addressees;
using agreement::attention_order;

/// A range of blocks [begin, end) that only one task may touch; `ordered`: also a barrier for tasks that touch no
/// blocks. An ordered one waits for the end of what `nexus` had sent before, while tasks of other nexuses step aside
/// between their requests, those that wait for their initiator's data among them: nobody but that initiator can tell
/// which of the two came first, and it has sent neither status nor data that would show it.
struct lock_range {
  std::uint64_t begin = 0;
  std::uint64_t end = UINT64_MAX;
  bool exclusive = true;    // keeps HEAD OF QUEUE tasks on the range out, too
  bool ordered = false;     // keeps every task that is not HEAD OF QUEUE out
  std::uint64_t nexus = 0;  // whose task asks for it
  /// Of a task that has begun. An ordered one of its nexus waits for that task's end, and so does not hold this up.
  bool continues = false;
  // Ordered: the task's place among those of its shard. What came there before it goes first.
  unsigned shard = 0;
  std::uint64_t serial = 0;
  /// Around the blocks of a request that was given up: keeps new work out, and waits neither for work that runs nor for
  /// other range locks.
  bool guard = false;
  bool overlaps(const lock_range& other) const { return ordered || other.ordered || shares_blocks(other); }
  bool shares_blocks(const lock_range& other) const { return begin < other.end && other.begin < end; }
  /// Whether a range lock that was asked for later has to wait for this one.
  bool holds_up(const lock_range& later) const {
    if (later.guard) return false;
    return guard ? shares_blocks(later) : overlaps(later);
  }
};

// -- shard -> coordinator ---------------------------------------------------------------------------------------

/// A command that changes agreed state: PERSISTENT RESERVE OUT, RESERVE, RELEASE, MODE SELECT, START STOP UNIT, PREVENT
/// ALLOW MEDIUM REMOVAL. Answered by control_answer.
struct control_request {
  unsigned shard = 0;
  std::uint64_t id = 0;  // of the shard's choice, not 0
  std::uint64_t nexus = 0;
  reservations::i_t who;
  std::uint8_t cdb_bytes = 0;
  std::array<std::uint8_t, 32> cdb{};
  std::vector<std::uint8_t> parameters;  // data-out
};
/// The task of a control_request was aborted: what has not begun must not be done any more, and is answered at once.
struct control_cancel {
  unsigned shard = 0;
  std::uint64_t id = 0;
};
/// CLEAR TASK SET, LOGICAL UNIT RESET or a target reset. Answered by manage_answer, when no shard has a task left that
/// it covers.
struct manage_request {
  unsigned shard = 0;
  std::uint64_t id = 0;
  std::uint64_t nexus = 0;
  port::task_function function = port::task_function::logical_unit_reset;
};
/// Answers a publication: the snapshot is in force here, and the aborted tasks are gone.
struct acknowledgement {
  unsigned shard = 0;
  std::uint64_t epoch = 0;
};
/// Asks for a range lock; answered by range_lock_granted. `id` is unique among all shards of all gateways
/// (range_lock_id()).
struct range_lock_request {
  unsigned shard = 0;
  std::uint64_t id = 0;
  lock_range range;
};
/// The number of a range lock: 12 bits of shard, and 36 of a count of the shard's own, within a global id. The count
/// may wrap: no range lock stands while its shard asks for 2^36 others.
constexpr std::uint64_t range_lock_id(gateway_id gateway, unsigned shard, std::uint64_t count) {
  return global_id(gateway, count << 12 | (shard & 0xfff));
}
/// A unit that takes the place of another one is born behind a range lock around all blocks, on every core, until
/// nothing of the other one can come to a medium any more. Its number is nobody else's, for shards count from 1, nor 0,
/// which is none.
constexpr std::uint64_t predecessor_lock_id(gateway_id gateway) {
  return range_lock_id(gateway, 0xfff, 0);
}
constexpr lock_range predecessor_lock_range{.guard = true};
/// Answers range_lock_held: no task that the range lock keeps out is at work here.
struct range_lock_quiet {
  unsigned shard = 0;
  std::uint64_t id = 0;
};
/// The range lock is not needed any more, whether it was granted or not.
struct range_lock_release {
  std::uint64_t id = 0;
};
/// A nexus is gone (or was reset): RESERVE and PREVENT of it end. Answered by nexus_forgotten when every gateway obeys.
struct nexus_lost {
  unsigned shard = 0;
  std::uint64_t id = 0;  // of the shard's choice
  std::uint64_t nexus = 0;
  bool gone = true;  // false: it was reset, and goes on
};
/// A nexus may send tasks from now on: the initiator port is known.
struct nexus_known {
  std::uint64_t nexus = 0;
  scsi::transport_id initiator;
};
/// What the unit's owner has of this gateway's initiators is to end there, for the owner does not answer. Answered by
/// cut_answer.
struct cut_request {
  unsigned shard = 0;
  std::uint64_t id = 0;  // of the shard's choice
};
/// A flush failed: all shards look into the unit's flush_book, and tell their nexuses.
struct flush_failed {};

// -- between the coordinator of a unit that gives its place and that of its successor ----------------------------

/// A reset or CLEAR TASK SET by a nexus that has not gone over yet: the successor's tasks end as well. Answered by
/// passed_reset_done.
struct passed_reset {
  std::uint64_t id = 0;
  std::uint64_t nexus = 0;
  port::task_function function = port::task_function::logical_unit_reset;
};
struct passed_reset_done {
  std::uint64_t id = 0;
};
/// The successor has ended: it answers nothing.
struct successor_gone {};

using to_coordinator = std::variant<control_request, control_cancel, manage_request, acknowledgement,
                                    range_lock_request, range_lock_quiet, range_lock_release, nexus_lost, nexus_known,
                                    cut_request, flush_failed, passed_reset, passed_reset_done, successor_gone>;

// -- coordinator -> shard ---------------------------------------------------------------------------------------

/// A new snapshot with what comes along: first the aborts, then the unit attentions. Answered by acknowledgement, once
/// each.
struct publication {
  std::uint64_t number = 0;  // counts the coordinator's publications
  snapshot_ptr snapshot;
  std::vector<attention_order> attentions;
  std::vector<abort_order> aborts;
};
struct control_answer {
  std::uint64_t id = 0;
  scsi::outcome outcome;
};
struct manage_answer {
  std::uint64_t id = 0;
  port::task_response response = port::task_response::function_complete;
};
/// Everything that the owner had when that was asked for has ended; not `done`: that is not known.
struct cut_answer {
  std::uint64_t id = 0;
  bool done = false;
};
/// Starts no further tasks inside the range lock; answered by range_lock_quiet.
struct range_lock_held {
  std::uint64_t id = 0;
  lock_range range;
};
/// To the shard that asked: the range is its own.
struct range_lock_granted {
  std::uint64_t id = 0;
};
/// To all: the range lock is gone.
struct range_lock_gone {
  std::uint64_t id = 0;
};
/// Nothing is agreed any more of the nexus that was lost.
struct nexus_forgotten {
  std::uint64_t id = 0;
};

using to_shard = std::variant<publication, control_answer, manage_answer, cut_answer, nexus_forgotten, range_lock_held,
                              range_lock_granted, range_lock_gone, flush_failed>;

/// How a shard, or another coordinator, reaches a coordinator; send() only posts, it never calls back.
class coordinator_link {
 public:
  virtual void send(to_coordinator message) = 0;

 protected:
  ~coordinator_link() = default;
};
/// How the coordinator reaches one shard; send() only posts, it never calls back.
class shard_link {
 public:
  virtual void send(to_shard message) = 0;

 protected:
  ~shard_link() = default;
};

}  // namespace sluice::unit
