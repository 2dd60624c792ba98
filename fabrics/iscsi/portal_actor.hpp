#pragma once
#include <caf/all.hpp>
#include <set>
#include <vector>

#include "actors/runtime/pinned.hpp"
#include "fabrics/iscsi/connection.hpp"
#include "fabrics/port/fabric.hpp"

namespace sluice::iscsi {

/// control -> portal: portal::close().
struct stop_order {
  std::function<void()> released, ended;
};

/// Accepts connections at one listening socket and spreads them over the cores; knows its live connections. Keeps
/// itself until it has been stopped and the last of them has ended.
class portal_actor final : public runtime::pinned<caf::event_based_actor> {
 public:
  /// Takes over the listening socket.
  portal_actor(caf::actor_config& config, reactor::handle socket, connection_options options,
               std::vector<port::core_door> cores);
  const char* name() const override { return "iscsi-portal"; }
  caf::behavior make_behavior() override;
  void on_exit() override;

 private:
  class accept_operation final : public reactor::operation {
   public:
    explicit accept_operation(portal_actor& owner) : owner_(owner) {}
    void on_complete(std::int64_t result) noexcept override;

   private:
    portal_actor& owner_;
  };
  class retry_timer final : public reactor::timer {
   public:
    explicit retry_timer(portal_actor& owner) : owner_(owner) {}
    void on_timer() noexcept override { owner_.accept(); }

   private:
    portal_actor& owner_;
  };

  void accept();
  void accepted(reactor::handle socket);
  void stop(stop_order order);
  void release();
  void maybe_finish();
  /// Back into the actor's own turn.
  void in_turn(std::function<void()> work);

  void on_note(void* subject, std::uint32_t kind) override;

  reactor::handle socket_;
  const connection_options options_;
  const std::vector<port::core_door> cores_;
  accept_operation accept_{*this};
  retry_timer retry_{*this};
  std::set<caf::actor_addr> connections_;
  std::size_t next_core_ = 0;
  stop_order order_;
  bool stopping_ = false;
  caf::strong_actor_ptr alive_;
};

}  // namespace sluice::iscsi

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::iscsi::stop_order)
