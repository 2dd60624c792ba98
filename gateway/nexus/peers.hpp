#pragma once
#include <cstdint>
#include <functional>

#include "fabrics/port/task.hpp"

/// How the channels of one nexus act together: task management that came by one of them covers the tasks of all.
namespace sluice::nexus {

/// core -> core: carry out a function at your channel of a nexus. Answered by peer_answer.
struct peer_request {
  unsigned from = 0;
  std::uint64_t question_id = 0;  // of the asking core
  std::uint64_t nexus_id = 0;
  port::task_function function = port::task_function::abort_task;
  port::lun lun = 0;
  std::uint64_t referenced_tag = 0;
};
/// TASK DOES NOT EXIST also says that there is no such channel.
struct peer_answer {
  std::uint64_t question_id = 0;
  port::task_response response = port::task_response::function_complete;
};

/// How one core reaches the others; both calls only post.
class peer_link {
 public:
  virtual unsigned cores() const = 0;
  virtual void ask(unsigned core, const peer_request& request) = 0;
  virtual void answer(unsigned core, const peer_answer& answer) = 0;

 protected:
  ~peer_link() = default;
};

/// The other channels of a nexus, as one of them sees them.
class other_channels {
 public:
  using answer = std::function<void(port::task_response)>;
  /// Asks all of them; `answered` runs once, on this core, with what they say together.
  virtual void manage_elsewhere(const port::task_management& request, answer answered) = 0;

 protected:
  ~other_channels() = default;
};

/// What two of those that were asked say together: one that does not know the task says nothing, and "complete" is what
/// is left to say when the other has nothing to add.
inline port::task_response of_both(port::task_response one, port::task_response other) {
  if (one == port::task_response::task_does_not_exist) return other;
  if (other == port::task_response::task_does_not_exist) return one;
  return one == port::task_response::function_complete ? other : one;
}

}  // namespace sluice::nexus
