#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "fabrics/iscsi/negotiation.hpp"
#include "fabrics/iscsi/port_sessions.hpp"
#include "fabrics/port/port_id.hpp"

/// Which targets are served where. A network portal is a listening socket; any number of target ports share it, and the
/// TargetName of a login chooses among them [RFC7143 4.2.5, 4.4.3].
namespace sluice::iscsi {

using portal_id = std::uint32_t;  // of one socket, never used again

/// A target port as its connections see it. Immutable but for its sessions.
struct served_port {
  port::port_id id;  // the group is the portal group tag
  offer ours;
  /// How long an initiator may send nothing of the data that it was asked for, or has announced.
  std::uint64_t data_out_timeout_ns = 30 * ns_per_s;
  bool allow_cold_reset = false;                  // TARGET COLD RESET, which ends all sessions of the port
  std::uint64_t nop_interval_ns = 30 * ns_per_s;  // silence after which the initiator is asked; 0: never
  std::uint64_t nop_timeout_ns = 30 * ns_per_s;   // silence after that ends the connection
  bool discovery_chap = false;                    // discovery where it is served has to authenticate
  std::vector<portal_id> portals;                 // where it is served
  std::vector<std::string> advertise;             // "gw.example.com:3260": told in place of the portals' addresses
  std::shared_ptr<port_sessions> sessions = std::make_shared<port_sessions>();
};
using served_port_ptr = std::shared_ptr<const served_port>;

/// The place from which somebody asks for targets.
struct vantage {
  portal_id portal = 0;
  reactor::endpoint local, peer;  // of the connection
};

/// All portals and ports of one gateway at one time; immutable.
class portal_table {
 public:
  portal_table() = default;
  portal_table(std::map<portal_id, reactor::endpoint> portals, std::vector<served_port_ptr> ports);

  /// The port that a canonical TargetName means at a portal; null when none of that name is served there.
  served_port_ptr find(portal_id at, const std::string& target_name) const;
  /// The ports that are served at a portal.
  const std::vector<served_port_ptr>& at(portal_id portal) const;
  /// Answers SendTargets [RFC7143 Appendix C]: TargetName and TargetAddress pairs of the targets that are served at the
  /// portal and that `may_see` admits, with all their portals and groups. `name` empty: all targets.
  std::string send_targets(const vantage& from, const std::string& name,
                           const std::function<bool(const port::port_id&)>& may_see) const;

 private:
  std::vector<std::string> addresses(const served_port& port, const vantage& from) const;

  std::map<portal_id, reactor::endpoint> portals_;
  std::map<portal_id, std::vector<served_port_ptr>> at_;
  std::map<std::string, std::vector<served_port_ptr>> by_name_;  // in the order of their groups
};

/// The table that holds now; any thread. Logins and discovery come here, so a mutex is good enough.
class portal_board {
 public:
  std::shared_ptr<const portal_table> now() const {
    const std::lock_guard guard(mutex_);
    return table_;
  }
  void publish(std::shared_ptr<const portal_table> table) {
    const std::lock_guard guard(mutex_);
    table_ = std::move(table);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const portal_table> table_ = std::make_shared<portal_table>();
};

/// What an initiator at `from` is told to reach a portal by; nullopt when nothing that is known would lead it there: a
/// loopback or link-local address to somebody who did not come that way, or a wildcard of the other address family.
std::optional<reactor::endpoint> told_address(const reactor::endpoint& portal, const vantage& from);

}  // namespace sluice::iscsi
