#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "actors/memory/slab.hpp"
#include "fabrics/port/task.hpp"

namespace sluice::iscsi {

/// One R2T that the initiator has not yet filled.
struct burst {
  std::uint32_t target_transfer_tag = 0, data_sn = 0, length = 0, received = 0;
  std::uint64_t offset = 0;
};

/// A SCSI command of a connection: the task that the core sees, and how far its data has come.
struct command {
  port::task task;
  /// Who has the task.
  enum class stage : std::uint8_t {
    gathering,  // we: immediate data, or its turn in the order of CmdSN, are still to come
    at_unit,
    fetching,  // we, for the time of a get_data
    sending,   // we, for the time of a put_data
    ended,     // we, for good; its response waits for the end of the data that the initiator owes
  };
  /// What the initiator hears in the end.
  enum class fate : std::uint8_t {
    served,      // what the unit says
    taken_back,  // what the unit says, which wants no data any more
    failed,      // `verdict`: its data went wrong
    silent,      // nothing
  };

  std::uint32_t initiator_task_tag = 0, cmd_sn = 0;
  fate end = fate::served;
  bool immediate = false;
  bool status_sent = false;  // with the last Data-In
  bool slot_freed = false;   // the command window has opened for it
  void* moved_by = nullptr;  // its datamover's own
  scsi::outcome verdict;     // set when it ends

  stage where() const { return stage_; }
  /// Checks that the step is one that a command takes.
  void move_to(stage next);

  // To the initiator
  std::uint64_t data_in_offset = 0;
  std::uint32_t data_in_sn = 0, r2t_sn = 0;

  // From the initiator, strictly in order: [0, arrived) is here, in task.data_out, `early` and the front of `landing`.
  std::uint64_t arrived = 0;
  std::vector<memory::slice> early;  // arrived while the core held the task
  std::uint32_t landing_bytes = 0;   // that Data-Out PDUs may fill next; 0: none
  std::uint64_t landing_base = 0;    // offset of the first of them
  memory::slice landing;             // where they land, from the first that comes on
  memory::charge reserved;           // what `landing` will cost, paid when the data are asked for
  bool promised = false;             // by R2T: counted in the connection's promised octets
  bool unsolicited_open = false;     // unsolicited Data-Out PDUs are still to come
  std::uint32_t unsolicited_sn = 0;
  std::uint64_t fetch_end = 0, next_r2t = 0;
  std::vector<burst> bursts;             // outstanding, in order
  std::uint32_t first_transfer_tag = 0;  // of the command; older ones are of others under its task tag

  std::uint64_t progress_ns = 0;  // when the initiator was asked for data, or sent some; by the loop's clock

  /// Whether Data-Out PDUs of sequences that were begun or asked for are still to come.
  bool is_owed_data() const { return unsolicited_open || !bursts.empty(); }

  std::uint64_t hungry_since_ns = 0;  // waits for memory, or for others' data to come
  std::uint32_t slot = 0;             // in commands::live()

  void reset();
  /// What a command without data-out has not touched is not touched for it: hundreds are in flight.
  bool may_have_data_out() const {
    return task.expected_data_out != 0 || task.wanted_length != 0 || end != fate::served;
  }

 private:
  stage stage_ = stage::gathering;
};

/// The commands of a connection by initiator task tag: a pool that allocates only while it grows, an open hash table
/// over it, and a dense list of the live ones.
class commands {
 public:
  explicit commands(std::uint32_t expected);
  command* find(std::uint32_t initiator_task_tag) const;
  /// A fresh command under a tag that is not in use.
  command& add(std::uint32_t initiator_task_tag);
  void remove(command& c);
  const std::vector<command*>& live() const { return live_; }

 private:
  std::size_t slot_of(std::uint32_t tag) const { return (tag * 0x9e3779b1u) & (table_.size() - 1); }
  void insert(command& c);
  void grow();
  std::vector<std::unique_ptr<command>> all_;
  std::vector<command*> free_, live_, table_;
};

}  // namespace sluice::iscsi
