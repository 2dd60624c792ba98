#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/check.hpp"
#include "actors/memory/slab.hpp"
#include "fabrics/port/port_id.hpp"
#include "gateway/scsi/outcome.hpp"
#include "gateway/scsi/transport_id.hpp"

/// The seam between fabrics and the SCSI core. "data_in" and "data_out" are the initiator's directions: data_in = read.
namespace sluice::port {

struct task;
struct task_management;
class lun_map;

/// A LUN as the 8 octets of SAM-5 4.7, in host order; single level: peripheral (LUN < 256) or flat (< 16384)
/// addressing.
using lun = std::uint64_t;
/// The number of a single-level LUN, or -1 for any other form.
std::int32_t lun_number(lun address);
lun lun_address(std::uint16_t number);
/// Whether they address one logical unit, in whichever form [SAM-5 4.7].
bool same_unit(lun one, lun other);

/// [SAM-5 8.9]
enum class task_attribute : std::uint8_t { simple, ordered, head_of_queue, aca };

/// Messages about a task. A task is never with both sides: `submit`, `data_arrived` and `data_sent` give it to the
/// unit, `get_data`, `put_data` and `complete` to the fabric, and only who holds it touches it. The other side may ask
/// for it: `take_back` and `transport_abort` are the two messages about a task that the sender does not hold. Each may
/// cross the very message that it asks for, and is then ignored.
enum class task_event : std::uint8_t {
  // fabric -> logical unit
  submit,        // a new task: from here on the unit holds it
  data_arrived,  // answers get_data, once: data_out holds [wanted_offset, wanted_offset + wanted_length), unless
                 // `ended` says that the transfer did not come to that
  data_sent,     // answers put_data, once: data_in was taken, the unit may fill it anew; `ended` as above
  /// The fabric has lost the task (ABTS, UNLINK, the death of a queue pair) while the unit holds it: the unit ends it,
  /// and says so with a silent `complete`, which waits for the medium no longer than an abort does. Posted between
  /// submit and complete, never while the fabric holds the task: then it answers that the transfer failed. May cross
  /// get_data or put_data, which the fabric answers as ever.
  transport_abort,
  // logical unit -> fabric
  get_data,  // bring wanted_length octets from wanted_offset (offsets strictly increase over a task's life)
  put_data,  // send data_in now; more follows
  /// The unit wants a task back that it gave away with get_data or put_data. The fabric answers that message at once,
  /// waiting for no initiator: data_arrived or data_sent with transfer_end::taken_back. From that answer on it touches
  /// the task's buffers no more, and what comes later for the transfer is dropped. Ignored when the answer is on its
  /// way already; the unit posts nothing else about the task before it has that answer.
  take_back,
  complete,  // send data_in (if any) and the outcome, fused; the task is the fabric's again. When `silent()`, send
             // nothing.
};

/// How a get_data or put_data ended.
enum class transfer_end : std::uint8_t {
  done,
  failed,      // the fabric lost the transfer, and answers the initiator itself: the unit completes silently
  taken_back,  // by the unit
};

/// Why a task ends without a response.
enum class silence : std::uint8_t {
  none,             // it has one: `outcome`
  aborted,          // ABORT TASK, ABORT TASK SET
  cleared,          // CLEAR TASK SET
  reset,            // LOGICAL UNIT RESET, a target reset, I_T NEXUS RESET
  preempted,        // PERSISTENT RESERVE OUT, PREEMPT AND ABORT
  nexus_lost,       // its nexus ends
  transfer_failed,  // as the fabric said
  transport_abort,  // as the fabric said
  not_owned,        // not done: another gateway owns the unit by now. Only of tasks that were relayed
};
const char* to_string(silence reason);  // in an operator's words

/// Where a task message can be sent; implemented by the endpoints of the actors on both sides. Deliveries from one
/// sender arrive in order, in a later step of the receiver's loop, never from within post(). Home core only.
class task_endpoint {
 public:
  virtual void post(task& subject, task_event event) noexcept = 0;
  virtual void post(task_management& request) noexcept = 0;

 protected:
  ~task_endpoint() = default;
};

/// What a fabric port can and cannot do; constant for the life of a nexus.
struct capabilities {
  std::uint16_t max_sense_bytes = 252;  // encode_sense() cuts what is longer
  bool task_attributes = true;          // without them every task is SIMPLE
  bool may_borrow = true;               // data_in may borrow a store's memory (false when a digest is computed over it)
  std::uint32_t max_get_bytes = 1 << 20;  // the most that one get_data may ask for
  bool can_query = true;                  // has QUERY TASK, QUERY TASK SET and I_T NEXUS RESET
};

/// An I_T nexus as the SCSI core knows it: an initiator port, a target port, apart from connections. Immutable.
struct i_t_nexus {
  std::uint64_t id = 0;  // unique in the life of the gateway, never used again
  scsi::transport_id initiator;
  std::string target_name;  // of the SCSI target device, e.g. "main" in [target.main]
  port_descriptor port;     // its identity names the target port group
  std::uint16_t relative_target_port = 1;
  capabilities caps;
  bool several_channels = false;  // it may have one on each core, each with a value of this type of its own
  /// It is another gateway's, which relays its commands on blocks: unit attentions, and its end, are that one's
  /// concern.
  bool relayed = false;
};

/// The longest CDB that there is [SPC-4 4.2.3].
inline constexpr std::size_t max_cdb_bytes = 260;

/// The length of a transfer of which the transport says nothing (UAS): as long as the CDB makes it.
inline constexpr std::uint64_t unknown_length = UINT64_MAX;

/// What a command would move one way, beside what the initiator was ready for.
struct residual {
  bool over = false, under = false;
  std::uint64_t octets = 0;
};

/// One SCSI command on its way. The fabric makes it (pooled), submits it, and gets it back with `complete`, exactly
/// once, unless the process dies. All on one core.
struct task {
  // Set by the fabric before submit -------------------------------------------------------------------------
  std::shared_ptr<const i_t_nexus> nexus;
  task_endpoint* fabric = nullptr;  // where get_data, put_data, complete go
  port::lun lun = 0;
  std::uint64_t tag = 0;  // unique within the nexus while the task lives
  task_attribute attribute = task_attribute::simple;
  std::uint16_t cdb_bytes = 0;
  std::array<std::uint8_t, 32> cdb{};   // its first octets, zero padded
  std::vector<std::uint8_t> long_cdb;   // all of one that is longer
  std::uint64_t expected_data_out = 0;  // octets that the initiator is ready to send; or unknown_length
  std::uint64_t expected_data_in = 0;   // octets that it has room for; or unknown_length
  std::uint64_t arrived_ns = 0;         // loop clock
  std::uint64_t agreed_epoch = 0;       // relayed: of what is agreed, by which the other gateway found it to be allowed
  void* fabric_private = nullptr;
  memory::account* payer = nullptr;  // of buffers that the unit takes for it; null: the gateway itself
  /// Memory that the fabric wants data_in to lie in, if it can be; in order, from offset 0; the fabric's again with
  /// put_data and complete. The unit fills it where it would otherwise take buffers, and data_in then names pieces of
  /// it. What it cannot place there (a block of which the initiator takes a part; borrowed memory, where the medium may
  /// be given up and write late) comes in other slices all the same. Counted slices are kept as long as that lasts.
  std::vector<memory::slice> destination;

  // data_out: slices that hold a prefix of what the initiator sends, in order. At submit: the immediate data. The
  // fabric appends; the unit may drop slices from the front once it has used them (data_out_base tells how many octets
  // it dropped). Of a WRITE (6, 10, 12, 16) they may be borrowed, from memory that the initiator may change meanwhile:
  // until the end of the task.
  std::vector<memory::slice> data_out;
  std::uint64_t data_out_base = 0;
  std::uint64_t data_out_end = 0;  // octets that have arrived since the task's start

  // Set by the nexus in submit() ---------------------------------------------------------------------------------
  task_endpoint* unit = nullptr;  // where data_arrived and data_sent go

  // Set by the logical unit ---------------------------------------------------------------------------------
  std::uint64_t wanted_offset = 0;  // get_data
  std::uint32_t wanted_length = 0;
  std::vector<memory::slice> data_in;           // put_data, complete: octets for the initiator, in order
  memory::charge lent;                          // with data_in: pays for a copy of what of it is borrowed
  scsi::outcome outcome;                        // complete
  std::uint64_t length_out = 0, length_in = 0;  // complete: octets that the command would move each way
  bool descriptor_sense = false;                // complete: D_SENSE of the unit, the form of sense data [SPC-4 7.5.8]
  silence silenced = silence::none;             // complete: why no response may be sent

  // Set by the fabric with each answer to get_data and put_data --------------------------------------------------
  transfer_end ended = transfer_end::done;

  // Belongs to whoever holds the task -------------------------------------------------------------------------
  task* next = nullptr;
  task* previous = nullptr;
  void* holder = nullptr;  // the unit's own record of the task

  bool silent() const { return silenced != silence::none; }
  /// Sets the CDB, which may lie in two parts; at most max_cdb_bytes.
  void set_cdb(const_bytes first, const_bytes rest = {});
  const_bytes whole_cdb() const {
    return cdb_bytes <= cdb.size() ? const_bytes(cdb.data(), cdb_bytes) : const_bytes(long_cdb);
  }
  port::residual residual_out() const;
  port::residual residual_in() const;
  /// Sense data in the form that the unit has chosen, and as long as the port can carry [SPC-4 4.5: what is cut off
  /// changes no length field].
  scsi::encoded_sense encode_sense(const scsi::sense& what) const;
  void reset();  // back to a fresh task, keeping vectors' capacity
};

/// [SAM-5 7]
enum class task_function : std::uint8_t {
  abort_task,
  abort_task_set,
  clear_task_set,
  logical_unit_reset,
  i_t_nexus_reset,
  target_warm_reset,
  target_cold_reset,
  clear_aca,
  query_task,
  query_task_set,
};
const char* to_string(task_function function);  // "LOGICAL UNIT RESET", …
enum class task_response : std::uint8_t {
  function_complete,
  function_succeeded,  // query: the task or set is there
  task_does_not_exist,
  lun_does_not_exist,
  not_supported,
  rejected,
};

/// One task management function. The sender owns it until `reply_to` gets it back with `response` set; by then no task
/// it covers can affect the medium any more, and the silent `complete` of each has been posted before.
struct task_management {
  std::shared_ptr<const i_t_nexus> nexus;
  task_endpoint* reply_to = nullptr;  // post(task_management&) carries the answer
  task_function function = task_function::abort_task;
  port::lun lun = 0;
  std::uint64_t referenced_tag = 0;  // abort_task, query_task
  task_response response = task_response::function_complete;
  void* fabric_private = nullptr;
};

}  // namespace sluice::port
