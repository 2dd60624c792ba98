#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>

#include "fabrics/port/nexus_endpoint.hpp"

namespace sluice::iscsi {

/// The connections that are logged in at one target port, over all its portals and cores. Any thread: only login and
/// logout come here, so a mutex is good enough.
class port_sessions {
 public:
  /// Ends a connection; called on any thread, under no lock, and maybe after it has ended.
  using closer = std::function<void(port::loss_reason)>;

  /// A connection of a portal comes; 0 when the port stops. What it returns goes to leave().
  std::uint64_t join(std::uint32_t portal, closer close);
  void leave(std::uint64_t number);
  /// Ends all connections, or those of one portal.
  void close_all(port::loss_reason reason);
  void close_at(std::uint32_t portal, port::loss_reason reason);
  std::size_t count_at(std::uint32_t portal) const;
  /// Lets nobody join any more, ends all that are there, and runs `stopped` when the last has left: within this call
  /// when there is none.
  void stop(port::loss_reason reason, std::function<void()> stopped);
  bool stopping() const;

 private:
  struct member {
    std::uint32_t portal;
    closer close;
  };
  void close_where(const std::function<bool(const member&)>& matches, port::loss_reason reason);

  mutable std::mutex mutex_;
  std::map<std::uint64_t, member> members_;
  std::uint64_t last_ = 0;
  bool stopping_ = false;
  std::function<void()> stopped_;
};

}  // namespace sluice::iscsi
