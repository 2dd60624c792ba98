#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fabrics/port/nexus_door.hpp"
#include "fabrics/port/task.hpp"

namespace sluice::access {

/// One core's door to a logical unit: tasks and task management by post(), and the comings and goings of nexuses. Home
/// core only; everything is delivered in the order it was called.
class unit_door : public port::task_endpoint {
 public:
  /// A nexus may send tasks from now on; it starts with a power-on unit attention.
  virtual void attach(std::shared_ptr<const port::i_t_nexus> nexus) = 0;
  /// Aborts the nexus' tasks, or with unit_removed lets them come to their end and be answered; `detached` runs on this
  /// core when the last was completed and the nexus forgotten.
  virtual void detach(std::uint64_t nexus_id, port::loss_reason reason, std::function<void()> detached) = 0;
  /// Establishes a unit attention condition for one nexus.
  virtual void raise(std::uint64_t nexus_id, scsi::additional_sense code) = 0;

 protected:
  ~unit_door() = default;
};

/// A logical unit as the LUN maps name it: its doors, one per core.
struct unit_handle {
  std::string name;
  std::vector<unit_door*> doors;  // by core index; valid while any directory or nexus holds this handle
};

}  // namespace sluice::access
