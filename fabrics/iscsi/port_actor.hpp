#pragma once
#include <caf/all.hpp>
#include <memory>
#include <set>
#include <vector>

#include "actors/runtime/pinned.hpp"
#include "fabrics/iscsi/connection.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::iscsi {

/// control -> port: take no more connections, end those that there are, then run `stopped` and end.
struct stop_order {
  std::function<void()> stopped;
};

/// Accepts connections at one listener each and spreads them over the cores; knows its live connections.
class port_actor final : public runtime::pinned<caf::event_based_actor> {
 public:
  /// Takes over the listening sockets.
  port_actor(caf::actor_config& config, std::vector<reactor::handle> listeners, connection_options options,
             std::vector<port::core_door> cores);
  const char* name() const override { return "iscsi-port"; }
  caf::behavior make_behavior() override;
  void on_exit() override;

 private:
  /// One listening socket with its accept in flight.
  class listener final : public reactor::operation {
   public:
    listener(port_actor& owner, reactor::handle socket) : owner_(owner), socket_(socket) {}
    void on_complete(std::int64_t result) noexcept override;
    reactor::handle socket() const { return socket_; }

   private:
    port_actor& owner_;
    reactor::handle socket_;
  };
  class retry_timer final : public reactor::timer {
   public:
    explicit retry_timer(port_actor& owner) : owner_(owner) {}
    void on_timer() noexcept override { owner_.accept_all(); }

   private:
    port_actor& owner_;
  };

  void accept_all();
  void accepted(reactor::handle socket);
  void stop(stop_order order);
  void maybe_finish();
  /// Back into the actor's own turn.
  void in_turn(std::function<void()> work);

  void on_note(void* subject, std::uint32_t kind) override;

  connection_options options_;
  const std::vector<port::core_door> cores_;
  std::vector<std::unique_ptr<listener>> listeners_;
  std::unique_ptr<session_handles> sessions_;
  retry_timer retry_{*this};
  std::set<caf::actor_addr> connections_;
  std::vector<std::shared_ptr<turn_queue>> turns_;  // by core
  std::size_t next_core_ = 0;
  std::function<void()> stopped_;
  bool stopping_ = false;
};

}  // namespace sluice::iscsi

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::iscsi::stop_order)
