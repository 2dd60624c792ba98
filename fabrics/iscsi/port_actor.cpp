#include "fabrics/iscsi/port_actor.hpp"

#include "actors/observe/log.hpp"
#include "fabrics/iscsi/connection_actor.hpp"

namespace sluice::iscsi {

port_actor::port_actor(caf::actor_config& config, std::vector<reactor::handle> listeners, connection_options options,
                       std::vector<port::core_door> cores)
    : pinned(config),
      options_(std::move(options)),
      cores_(std::move(cores)),
      sessions_(std::make_unique<session_handles>()) {
  for (const reactor::handle socket : listeners) listeners_.push_back(std::make_unique<listener>(*this, socket));
  options_.sessions = sessions_.get();
  for (const port::core_door& core : cores_) turns_.push_back(std::make_shared<turn_queue>(core.core->loop()));
}

caf::behavior port_actor::make_behavior() {
  options_.cold_reset = [port = caf::actor_cast<caf::actor_addr>(this)] {
    if (const auto alive = caf::actor_cast<caf::actor>(port))
      caf::anon_send(alive, close_order{port::loss_reason::kicked});
  };
  set_down_handler([this](const caf::down_msg& down) {
    connections_.erase(down.source);
    maybe_finish();
  });
  accept_all();
  return {
      [this](const stop_order& order) { stop(order); },
      [this](const close_order& order) {
        for (const caf::actor_addr& each : connections_)
          if (const auto alive = caf::actor_cast<caf::actor>(each)) send(alive, order);
      },
  };
}

void port_actor::on_exit() {
  home().loop().disarm(retry_);
  stopped_ = nullptr;
}

void port_actor::accept_all() {
  if (stopping_) return;
  for (const auto& each : listeners_)
    if (!each->in_flight()) home().loop().accept(*each, each->socket());
}

void port_actor::listener::on_complete(std::int64_t result) noexcept {
  owner_.in_turn([&port = owner_, result, socket = static_cast<reactor::handle>(result)] {
    if (result >= 0) {
      port.accepted(socket);
      port.accept_all();
    } else if (port.stopping_) {
      port.maybe_finish();
    } else {
      // No descriptors, most likely: the ones in use must end first.
      SLUICE_LOG(warning, "iscsi", "cannot accept a connection", {"port", port.options_.port_name}, {"errno", -result});
      port.home().loop().arm(port.retry_, 100 * ns_per_ms);
    }
  });
}

void port_actor::in_turn(std::function<void()> work) {
  send_note(new std::function<void()>(std::move(work)), 0);
}

void port_actor::on_note(void* subject, std::uint32_t) {
  const std::unique_ptr<std::function<void()>> work(static_cast<std::function<void()>*>(subject));
  (*work)();
}

void port_actor::accepted(reactor::handle socket) {
  if (stopping_ || connections_.size() >= options_.bounds.max_connections) {
    SLUICE_LOG(warning, "iscsi", "connection refused: the port has its maximum", {"port", options_.port_name},
               {"max_connections", options_.bounds.max_connections});
    home().loop().close(socket);
    return;
  }
  const std::size_t number = next_core_++ % cores_.size();
  const port::core_door& core = cores_[number];
  options_.turns = turns_[number];
  const auto spawned = runtime::spawn_on<connection_actor>(*core.core, socket, *core.gateway, options_);
  monitor(spawned.handle);
  connections_.insert(caf::actor_cast<caf::actor_addr>(spawned.handle));
}

void port_actor::stop(stop_order order) {
  stopped_ = std::move(order.stopped);
  stopping_ = true;
  for (const auto& each : listeners_)
    if (each->in_flight()) home().loop().cancel(*each);
  for (const caf::actor_addr& each : connections_)
    if (const auto alive = caf::actor_cast<caf::actor>(each)) send(alive, close_order{port::loss_reason::shutdown});
  maybe_finish();
}

void port_actor::maybe_finish() {
  if (!stopping_ || !connections_.empty() || !stopped_) return;
  for (const auto& each : listeners_)
    if (each->in_flight()) return;
  for (const auto& each : listeners_) home().loop().close(each->socket());
  std::exchange(stopped_, nullptr)();
  quit();
}

}  // namespace sluice::iscsi
