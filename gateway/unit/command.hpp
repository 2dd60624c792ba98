#pragma once
#include <coroutine>
#include <utility>
#include <vector>

#include "fabrics/port/task.hpp"
#include "gateway/access/owner_link.hpp"
#include "gateway/access/unit_endpoint.hpp"
#include "gateway/reservations/conflicts.hpp"
#include "gateway/scsi/cdb.hpp"
#include "gateway/unit/links.hpp"
#include "gateway/unit/nexus_attentions.hpp"
#include "tiers/store/store.hpp"

namespace sluice::unit {

class shard;

/// An I_T nexus as one shard sees it (an I_T_L nexus).
struct nexus_record {
  std::shared_ptr<const port::i_t_nexus> identity;
  nexus_attentions attentions;
  access::attention_listener* listener = nullptr;  // hears of new ones; null: nobody wants to
  std::uint64_t written = 0;  // mark of its last write that may be in a volatile cache, see flush_book; 0: none
  reservations::allowance allowance = reservations::allowance::everything;
  bool reserved_by_other = false;  // RESERVE(6)/(10)
  scsi::asymmetric_access access = scsi::asymmetric_access::active_optimized;
  bool plain = false;  // nothing of the above stands in the way: the one branch of the hot path
  std::uint32_t tasks = 0;
  std::uint64_t fed_ns = 0;  // when a task of it that had waited got memory
  bool leaving = false;

  /// As reservations know it.
  reservations::i_t who() const { return {identity->initiator, identity->relative_target_port}; }
};

/// How a task that was aborted ends.
enum class abort_disposition : std::uint8_t {
  none,
  silent,
  task_aborted,
  busy,  // it lost its data, not its life: the initiator may send it again
};

/// The unit's record of one task, from submit to complete; pooled.
struct command {
  class medium_request final : public store::request {
   public:
    void done(store::status outcome) noexcept override;
    command* owner = nullptr;
    shard* server = nullptr;
  };

  // What every command touches comes first, in few cache lines: hundreds are in flight.
  port::task* task = nullptr;
  nexus_record* nexus = nullptr;
  const scsi::opcode_row* row = nullptr;  // null: the CDB was refused
  command* next = nullptr;                // in the task set, or in the free list
  command* previous = nullptr;
  std::uint64_t serial = 0;  // never used again
  std::uint64_t since = 0;   // the tick at which it began to wait: for the medium, or for its turn
  bool touches_blocks = false;
  bool is_refused = false;  // decoding found `refusal`

  enum class stage : std::uint8_t { waiting, active } where = stage::waiting;
  /// Who must do something before the command goes on.
  enum class place : std::uint8_t {
    here,        // nobody: it runs, or waits for its turn
    fabric,      // get_data or put_data; when aborted, it was asked to give the task back
    medium,      // a request of it is under way, or the unit's owner has it
    range_lock,  // its next request waits for a range lock to be lowered
    memory,      // it waits for a buffer
    nobody,      // its answer is held back
    lock,        // it waits for a range lock of its own around its next blocks
    coordinator,
  } with = place::here;
  unit::abort_disposition abort_disposition = unit::abort_disposition::none;
  port::silence why = port::silence::none;  // aborted
  bool needs_range_lock = false;
  bool range_lock_granted = false;
  // A request that is not answered in time is given up: the task is answered, and this record goes on with the request,
  // its buffers, and a range lock around its blocks, until the medium is done with them.
  bool abandoned = false;
  bool has_written = false;  // something of it is on the medium or may come to be: BUSY would say that nothing is
  store::status medium_status = store::status::good;
  std::uint64_t range_lock = 0;          // asked for; 0: not yet
  std::uint64_t flush = 0;               // c.io is that flush of the unit's flush_book; 0: none
  std::uint64_t guard = 0;               // the range lock of an abandoned one, asked for; 0: none
  std::coroutine_handle<> resume_point;  // the job's, while it waits
  /// The unit's owner does it, and is the medium as far as this gateway goes; null: it is done here.
  access::relayed_command* relayed = nullptr;
  /// Relayed, and given up here: what was asked for. Its owner to end it; all gateways, to have its owner do that.
  enum class end_asked : std::uint8_t { nobody, owner, everybody } end_of_relayed = end_asked::nobody;
  std::uint64_t data_goal = 0;  // get_data goes on until data_out_end is there
  lock_range range;             // the blocks it touches
  scsi::block_command block;    // commands on blocks
  std::vector<iovec> parts;
  medium_request io;

  // Of few commands; reset() leaves it as it is. Who uses it sets it.
  scsi::outcome refusal;
  std::uint64_t hungry_since_ns = 0;  // place::memory
  std::uint32_t buffer_bytes = 0;     // likewise: what it waits for
  memory::slice buffer;               // what it got, until the job takes it; empty: nothing
  std::uint64_t due_ns = 0;           // place::nobody: when its answer may go; relayed: when more is done about its end
  scsi::outcome coordinator_outcome;  // the coordinator's; or, place::nobody, the answer
  std::vector<memory::slice> kept;    // an abandoned one's data-out, and where its data-in were to go
  std::vector<store::extent> extents;

  bool is_head_of_queue() const { return task->attribute == port::task_attribute::head_of_queue; }
  bool is_aborted() const { return abort_disposition != unit::abort_disposition::none; }
  void refuse(const scsi::outcome& outcome) {
    is_refused = true;
    refusal = outcome;
  }
  const_bytes cdb() const { return task->whole_cdb(); }
  void reset();  // back to a fresh record, keeping vectors' capacity
  void resume() { std::exchange(resume_point, {}).resume(); }
};

/// A list of commands through their next and previous; owns nothing.
class command_list {
 public:
  bool empty() const { return head_ == nullptr; }
  command* head() const { return head_; }
  void push_back(command& c) {
    c.previous = tail_;
    c.next = nullptr;
    (tail_ ? tail_->next : head_) = &c;
    tail_ = &c;
  }
  void erase(command& c) {
    (c.previous ? c.previous->next : head_) = c.next;
    (c.next ? c.next->previous : tail_) = c.previous;
    c.next = c.previous = nullptr;
  }

 private:
  command* head_ = nullptr;
  command* tail_ = nullptr;
};

}  // namespace sluice::unit
