#include "fabrics/iscsi/connection_actor.hpp"

namespace sluice::iscsi {

namespace {

/// Notes to a connection: the task events as they are, then these.
enum note_kind : std::uint32_t { manage_note = 0x100, ended_note };

}  // namespace

connection_actor::connection_actor(caf::actor_config& config, reactor::handle socket, port::gateway& gateway,
                                   connection_options options)
    : pinned(config), socket_(socket), gateway_(gateway), options_(std::move(options)) {}

caf::behavior connection_actor::make_behavior() {
  // The end comes from the loop, outside this actor's turn, where quit() would go unheard: it sends itself a note.
  const auto close_later = [self = caf::actor_cast<caf::actor_addr>(this)](port::loss_reason reason) {
    if (const auto alive = caf::actor_cast<caf::actor>(self)) caf::anon_send(alive, close_order{reason});
  };
  connection_.emplace(home().loop(), socket_, gateway_, static_cast<port::task_endpoint&>(*this), options_, close_later,
                      [this] { send_note(nullptr, ended_note); });
  alive_ = ctrl();
  connection_->start();
  return {
      [this](const close_order& order) { connection_->close(order.reason); },
  };
}

void connection_actor::on_exit() {
  connection_.reset();
  alive_ = nullptr;
}

void connection_actor::post(port::task& subject, port::task_event event) noexcept {
  send_note(&subject, static_cast<std::uint32_t>(event));
}

void connection_actor::post(port::task_management& request) noexcept {
  send_note(&request, manage_note);
}

void connection_actor::on_note(void* subject, std::uint32_t kind) {
  switch (kind) {
    case manage_note:
      connection_->on_manage(*static_cast<port::task_management*>(subject));
      return;
    case ended_note:
      quit();
      return;
    default:
      connection_->on_task(*static_cast<port::task*>(subject), static_cast<port::task_event>(kind));
  }
}

}  // namespace sluice::iscsi
