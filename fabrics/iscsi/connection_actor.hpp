#pragma once
#include <caf/all.hpp>
#include <optional>

#include "actors/runtime/pinned.hpp"
#include "fabrics/iscsi/connection.hpp"

namespace sluice::iscsi {

/// Ends the connection, telling the initiator first where the protocol can.
struct close_order {
  port::loss_reason reason;
};

/// Brings one connection its messages. Ends by itself when the connection has ended.
class connection_actor final : public runtime::pinned<caf::event_based_actor>, port::task_endpoint {
 public:
  /// Takes over the connected `socket`.
  connection_actor(caf::actor_config& config, reactor::handle socket, port::gateway& gateway,
                   connection_options options);
  const char* name() const override { return "iscsi-connection"; }
  caf::behavior make_behavior() override;
  void on_exit() override;

 private:
  void post(port::task& subject, port::task_event event) noexcept override;
  void post(port::task_management& request) noexcept override;
  void on_note(void* subject, std::uint32_t kind) override;

  const reactor::handle socket_;
  port::gateway& gateway_;
  const connection_options options_;
  std::optional<connection> connection_;
  caf::strong_actor_ptr alive_;  // the port only watches: the connection keeps itself until it has ended
};

}  // namespace sluice::iscsi

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::iscsi::close_order)
