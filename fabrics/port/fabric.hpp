#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/schema/keys.hpp"
#include "fabrics/port/nexus_door.hpp"

namespace sluice::runtime {
class core;
}

namespace sluice::port {

/// One core as a fabric sees it: where its actors are spawned (runtime/pinned.hpp) and the SCSI core's door there.
struct core_door {
  runtime::core* core = nullptr;  // core->loop() is its event loop
  port::gateway* gateway = nullptr;
};

/// One live connection or session, for `sluice session ls`.
struct session_info {
  std::uint64_t nexus_id = 0;
  std::string initiator, peer, parameters;
};

/// A running port: a SCSI target port with its listeners.
class target_port {
 public:
  virtual ~target_port() = default;
  /// Takes no new logins, evicts the nexuses that it has, closes its listeners; then calls `stopped` on some loop's
  /// thread. Called once, from any thread.
  virtual void stop(std::function<void()> stopped) = 0;
  /// Where it listens, with the port numbers that the system chose.
  virtual std::vector<reactor::endpoint> portals() const = 0;
};

/// How a fabric makes ports. One per folder under fabrics/, handed to the registry by register_fabric().
struct fabric {
  std::string name;                 // fabric = "iscsi"
  std::vector<config::key> keys;    // beyond fabric, name, listen, group, which every port has
  /// Starts a port: every listener is bound when this returns, so a failure leaves nothing behind. Control thread.
  std::function<result<std::unique_ptr<target_port>>(
      const std::string& port_name, const std::vector<reactor::endpoint>& listen, std::uint16_t group,
      const config::settings& more, const limits& bounds, const std::vector<core_door>& cores)>
      open;
};

class registry {
 public:
  void add(fabric f) { fabrics_.push_back(std::move(f)); }
  const fabric* find(const std::string& name) const {
    for (const fabric& f : fabrics_)
      if (name == f.name) return &f;
    return nullptr;
  }
  const std::vector<fabric>& all() const { return fabrics_; }

 private:
  std::vector<fabric> fabrics_;
};

}  // namespace sluice::port
