#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "actors/base/global_id.hpp"
#include "fabrics/port/task.hpp"

/// How a unit's commands get to the gateway that owns it, when they came by another one.
namespace sluice::access {

/// How a step of a relayed command came to its end.
enum class relayed : std::uint8_t {
  wants_data,   // the owner waits for data-out: [wanted_offset, wanted_offset + wanted_length)
  has_data,     // `octets` of data-in lie in `room`, and more follow
  ended,        // `outcome`, lengths, and `octets` of data-in in `room`
  not_here,     // it was not done: the other gateway does not own the unit by now, or has no room for it
  unreachable,  // it was not done, and the owner cannot be reached
  lost,         // nobody knows whether it was done; nothing of it will be done from now on
};
constexpr bool is_final(relayed how) {
  return how > relayed::has_data;
}

/// One command at the unit's owner. Who asks keeps it, and what it points to, alive and still while a step is under
/// way; one that was submitted once is gone on with until a final answer.
class relayed_command {
 public:
  /// A step is over. On the link's core, never from within the call that began it.
  virtual void on_answer() noexcept = 0;

  // Set by who asks, before submit(): looked at in that step only.
  std::string_view unit;
  const port::task* task = nullptr;
  gateway_id owner = 0;
  std::uint64_t epoch = 0;  // of the agreement by which the command was found to be allowed

  // Likewise, before each step.
  std::vector<iovec> data_out;  // what the step brings: from offset 0 on, or what the owner wants
  bytes room;                   // where data-in may go

  relayed came = relayed::ended;
  std::uint64_t wanted_offset = 0;
  std::uint32_t wanted_length = 0;
  std::uint32_t octets = 0;
  scsi::outcome outcome;
  std::uint64_t length_out = 0, length_in = 0;
  port::silence silenced = port::silence::none;  // ended: without a status

  // The link's own.
  std::uint32_t number = 0;
  enum class stage : std::uint8_t { idle, queued, sent } at = stage::idle;
  bool waits = false, has_answer = false, ends = false;

 protected:
  ~relayed_command() = default;
};

/// One core's way to the owners of units. Its core only.
class owner_link {
 public:
  virtual void submit(relayed_command& c) noexcept = 0;
  /// After wants_data or has_data.
  virtual void go_on(relayed_command& c) noexcept = 0;
  /// The command is to end soon. The step under way is answered as ever; when none is, this is one. Any number of
  /// times.
  virtual void end(relayed_command& c) noexcept = 0;
  /// The owner has ended it, as is known by other means: it is lost, unless its answer has come.
  virtual void is_over(relayed_command& c) noexcept = 0;
  /// The nexus has gone from the unit; none of its commands is left.
  virtual void forget(std::string_view unit, std::uint64_t nexus_id) noexcept = 0;
  /// The unit has another owner, for which the former one has ended all that it did: what that has not answered within
  /// a moment is lost.
  virtual void has_moved(std::string_view unit, gateway_id to) noexcept = 0;

 protected:
  ~owner_link() = default;
};

}  // namespace sluice::access
