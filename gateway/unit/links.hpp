#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "fabrics/port/task.hpp"
#include "gateway/reservations/types.hpp"
#include "gateway/unit/snapshot.hpp"

/// The messages between the home of a logical unit and its shards, one per core. Values without pointers into either
/// side, so that they may cross cores. Messages of one sender to one receiver arrive in order; nothing else is promised
/// about when. READ, WRITE and everything that only looks at the snapshot sends none.
namespace sluice::unit {

/// Whom a unit attention condition or an abort concerns: everybody, one I_T, or everybody but one nexus.
struct addressees {
  std::optional<reservations::i_t> only;
  std::uint64_t except_nexus = 0;  // 0: no exception
};

struct attention_order {
  addressees whom;
  scsi::additional_sense code = 0;
};

/// How the tasks of a nexus end when somebody else aborts them [SAM-5 5.6, 8.6].
enum class abort_manner : std::uint8_t {
  silent,    // no status: resets, and what the nexus itself asked for
  by_other,  // TASK ABORTED when TAS = 1, else silent with the order's unit attention
};
struct abort_order {
  addressees whom;
  abort_manner manner = abort_manner::silent;
  port::silence reason = port::silence::reset;  // of those that end silently
  std::uint64_t asking_nexus = 0;               // whose tasks end silently also under by_other
  std::uint64_t asking_request = 0;             // a control_request that is not aborted by itself
  scsi::additional_sense attention = 0;         // by_other without TAS, to nexuses that lost a task; 0: none
};

/// A range of blocks [begin, end) that only one task may touch; `ordered`: also a barrier for tasks that touch no
/// blocks. An ordered one waits for the end of what `nexus` had sent before, while tasks of other nexuses step aside
/// between their requests, those that wait for their initiator's data among them: nobody but that initiator can tell
/// which of the two came first, and it has sent neither status nor data that would show it.
struct fence_range {
  std::uint64_t begin = 0;
  std::uint64_t end = UINT64_MAX;
  bool exclusive = true;    // keeps HEAD OF QUEUE tasks on the range out, too
  bool ordered = false;     // keeps every task that is not HEAD OF QUEUE out
  std::uint64_t nexus = 0;  // ordered: whose task asks for it
  /// Around the blocks of a request that was given up: keeps new work out, and waits neither for work that runs nor for
  /// other fences.
  bool guard = false;
  bool overlaps(const fence_range& other) const { return ordered || other.ordered || shares_blocks(other); }
  bool shares_blocks(const fence_range& other) const { return begin < other.end && other.begin < end; }
  /// Whether a fence that was asked for later has to wait for this one.
  bool holds_up(const fence_range& later) const {
    if (later.guard) return false;
    return guard ? shares_blocks(later) : overlaps(later);
  }
};

// -- shard -> home -------------------------------------------------------------------------------------------

/// A command that changes agreed state: PERSISTENT RESERVE OUT, RESERVE, RELEASE, MODE SELECT, START STOP UNIT, PREVENT
/// ALLOW MEDIUM REMOVAL. Answered by control_answer.
struct control_request {
  unsigned shard = 0;
  std::uint64_t id = 0;  // of the shard's choice, not 0
  std::uint64_t nexus = 0;
  reservations::i_t who;
  std::uint8_t cdb_octets = 0;
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
/// Asks for a fence; answered by fence_granted. `id` is unique among all shards.
struct fence_request {
  unsigned shard = 0;
  std::uint64_t id = 0;
  fence_range range;
};
/// Answers fence_raised: no task that the fence keeps out is at work here.
struct fence_quiet {
  unsigned shard = 0;
  std::uint64_t id = 0;
};
/// The fence is not needed any more, whether it was granted or not.
struct fence_release {
  std::uint64_t id = 0;
};
/// A nexus is gone (or was reset): RESERVE and PREVENT of it end.
struct nexus_lost {
  std::uint64_t nexus = 0;
};
using to_home = std::variant<control_request, control_cancel, manage_request, acknowledgement, fence_request,
                             fence_quiet, fence_release, nexus_lost>;

// -- home -> shard -------------------------------------------------------------------------------------------

/// A new snapshot with what comes along: first the aborts, then the unit attentions. Answered by acknowledgement.
struct publication {
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
/// Starts no further tasks inside the fence; answered by fence_quiet.
struct fence_raised {
  std::uint64_t id = 0;
  fence_range range;
};
/// To the shard that asked: the range is its own.
struct fence_granted {
  std::uint64_t id = 0;
};
/// To all: the fence is gone.
struct fence_lowered {
  std::uint64_t id = 0;
};
using to_shard = std::variant<publication, control_answer, manage_answer, fence_raised, fence_granted, fence_lowered>;

/// How a shard reaches its home; send() only posts, it never calls back.
class home_link {
 public:
  virtual void send(to_home message) = 0;

 protected:
  ~home_link() = default;
};
/// How the home reaches one shard; send() only posts, it never calls back.
class shard_link {
 public:
  virtual void send(to_shard message) = 0;

 protected:
  ~shard_link() = default;
};

}  // namespace sluice::unit
