#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "actors/runtime/core.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::loopback {

class session;

/// A port as its sessions share it. Any thread: only login and logout come here, so a mutex is good enough.
class port_state {
 public:
  port_state(port::port_descriptor about, std::vector<port::core_endpoint> where)
      : descriptor(std::move(about)), cores(std::move(where)) {}

  /// False: the port stops.
  bool join(const std::shared_ptr<session>& who);
  /// From the session's own core, when nothing of it is left.
  void left(session& who);
  /// Lets nobody join any more, ends all that are there; `stopped` runs on a loop's thread when the last has left.
  void stop(std::function<void()> stopped);

  const port::port_descriptor descriptor;
  const std::vector<port::core_endpoint> cores;

 private:
  std::mutex mutex_;
  std::set<session*> members_;
  bool stopping_ = false;
  std::function<void()> stopped_;
};

}  // namespace sluice::loopback
