#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/schema/model.hpp"
#include "fabrics/port/nexus_endpoint.hpp"
#include "fabrics/port/strangers.hpp"

namespace sluice::runtime {
class core;
}

namespace sluice::port {

/// One core as a fabric sees it: where its actors are spawned (runtime/pinned.hpp) and the SCSI core's endpoint there.
struct core_endpoint {
  runtime::core* core = nullptr;  // core->loop() is its event loop
  port::gateway* gateway = nullptr;
};

/// A change of a running port that has been prepared: all that may fail is done, and no initiator could notice. Put in
/// force by commit(); destroyed before that, it leaves the port as it was. Control thread.
class port_change {
 public:
  virtual ~port_change() = default;
  virtual void commit() = 0;
};

/// A running port: a SCSI target port. Control thread, unless it says otherwise.
class target_port {
 public:
  virtual ~target_port() = default;
  virtual const port_descriptor& descriptor() const = 0;
  /// Where initiators find it, for people: "127.0.0.1:3260" with the numbers that the system chose; empty for a port
  /// without addresses.
  virtual std::vector<std::string> addresses() const = 0;
  /// Prepares other settings; `wanted` has the port's identity. What it may cost sessions: see disturbs().
  virtual result<std::unique_ptr<port_change>> prepare(const config::port_config& wanted) = 0;
  /// How many connections a change to `wanted` would end; the others go on. Any thread, but not during another call.
  virtual std::size_t disturbs(const config::port_config& wanted) const = 0;
  /// Takes no new logins, evicts the nexuses that it has, gives up its addresses; then calls `stopped` on some loop's
  /// thread. Called once.
  virtual void stop(std::function<void()> stopped) = 0;
};

/// A fabric at work in one gateway: it makes the ports, and owns what several of them share (listening sockets, a
/// device). It outlives its ports. Control thread.
class running_fabric {
 public:
  virtual ~running_fabric() = default;
  /// Opens a port: everything that may fail. It admits nobody before gateway::check knows it, and a failure leaves
  /// nothing behind.
  virtual result<std::unique_ptr<target_port>> open(const config::port_config& wanted) = 0;
  /// Its connections that have no nexus; null for a fabric that has no such connections. May outlive the fabric.
  virtual std::shared_ptr<port::strangers> strangers() { return nullptr; }
};

/// How a fabric is described and started. One per folder under fabrics/, handed to the registry by register_fabric().
struct fabric {
  /// Its name, the keys of its ports and access tables, and its checks of a configuration.
  config::fabric_rules rules;
  /// Reads what an access table holds for this fabric (secrets, from their files); null when it holds nothing. Blocks
  /// on the file system.
  std::function<result<std::shared_ptr<const credentials>>(const config::settings& access)> read_access;
  std::function<std::unique_ptr<running_fabric>(const limits& bounds, const std::vector<core_endpoint>& cores)> start;
  /// Looks whether a port could be opened, or changed to these settings, and changes nothing: for `sluice plan`.
  /// `held`: the addresses of the fabric's ports that run, as configured. Empty where there is nothing to look at. Any
  /// thread.
  std::function<result<void>(const config::port_config& wanted, const std::vector<std::string>& held)> probe = {};
};

class registry {
 public:
  void add(fabric f) { fabrics_.push_back(std::move(f)); }
  const fabric* find(const std::string& name) const {
    for (const fabric& f : fabrics_)
      if (name == f.rules.name) return &f;
    return nullptr;
  }
  const std::vector<fabric>& all() const { return fabrics_; }

 private:
  std::vector<fabric> fabrics_;
};

}  // namespace sluice::port
