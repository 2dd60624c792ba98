#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fabrics/port/nexus_endpoint.hpp"
#include "fabrics/port/task.hpp"

namespace sluice::access {

class unit_endpoint;

/// Hears of unit attentions as they are established, so that a fabric that can tells its initiator without being asked.
/// On the core of the endpoint, from within its actor's turn.
class attention_listener {
 public:
  virtual void on_attention(const unit_endpoint& at, scsi::additional_sense code) noexcept = 0;

 protected:
  ~attention_listener() = default;
};

/// One core's interface to a logical unit: tasks and task management by post(), and the comings and goings of nexuses.
/// Home core only; everything is delivered in the order it was called.
class unit_endpoint : public port::task_endpoint {
 public:
  /// A nexus may send tasks from now on; it starts with a power-on unit attention. A nexus with several channels is
  /// attached at each of their cores. `listener` may be null, and else lives until `removed`.
  virtual void add_nexus(std::shared_ptr<const port::i_t_nexus> nexus, attention_listener* listener) = 0;
  /// Aborts the nexus' tasks, or with unit_removed lets them come to their end and be answered; `removed` runs on this
  /// core when the last was completed and the nexus forgotten. A nexus that ends while it waits for that aborts them by
  /// another call.
  virtual void remove_nexus(std::uint64_t nexus_id, port::loss_reason reason, std::function<void()> removed) = 0;
  /// Establishes a unit attention condition for one nexus, because of that version of the directory; the channels of a
  /// nexus say it once together.
  virtual void raise(std::uint64_t nexus_id, scsi::additional_sense code, std::uint64_t directory_version) = 0;
  /// The nexus has learnt by other means what a unit attention would tell it.
  virtual void withdraw(std::uint64_t nexus_id, scsi::additional_sense code) = 0;

 protected:
  ~unit_endpoint() = default;
};

/// A logical unit as the LUN maps name it: its endpoints, one per core.
struct unit_handle {
  std::string name;
  std::vector<unit_endpoint*> endpoints;  // by core index; valid while any directory or nexus holds this handle
};

}  // namespace sluice::access
