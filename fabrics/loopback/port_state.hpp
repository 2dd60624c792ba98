#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "actors/runtime/core.hpp"
#include "fabrics/port/fabric.hpp"
#include "fabrics/port/member_book.hpp"

namespace sluice::loopback {

class session;

/// A port as its sessions share it. Any thread: only login and logout come here, so a mutex is good enough.
class port_state {
 public:
  port_state(port::port_descriptor about, std::vector<port::core_endpoint> where)
      : descriptor(std::move(about)), cores(std::move(where)) {}

  /// Lets nobody join any more, ends all that are there; `stopped` runs on a loop's thread when the last has left.
  void stop(const std::function<void()>& stopped);

  const port::port_descriptor descriptor;
  const std::vector<port::core_endpoint> cores;
  port::member_book<session> members;
};

}  // namespace sluice::loopback
