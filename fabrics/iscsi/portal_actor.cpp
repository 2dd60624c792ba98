#include "fabrics/iscsi/portal_actor.hpp"

#include "actors/observe/log.hpp"
#include "fabrics/iscsi/connection_actor.hpp"
#include "fabrics/iscsi/portal.hpp"

namespace sluice::iscsi {

namespace {

constexpr int backlog = 1024;

class listening_portal final : public portal {
 public:
  listening_portal(caf::strong_actor_ptr actor, reactor::endpoint local)
      : actor_(std::move(actor)), local_(std::move(local)) {}
  const reactor::endpoint& local() const override { return local_; }
  void close(std::function<void()> released, std::function<void()> ended) override {
    caf::anon_send(caf::actor_cast<caf::actor>(actor_), stop_order{std::move(released), std::move(ended)});
  }

 private:
  caf::strong_actor_ptr actor_;
  reactor::endpoint local_;
};

}  // namespace

result<std::unique_ptr<portal>> open_portal(const reactor::endpoint& where, connection_options options,
                                            const std::vector<port::core_door>& cores) {
  runtime::core& home = *cores.front().core;
  result<reactor::handle> socket = reactor::no_handle;
  reactor::endpoint local = where;
  home.call([&] {
    socket = home.loop().listen(where, backlog);
    if (!socket) return;
    if (auto bound = home.loop().local_endpoint(*socket)) local = std::move(*bound);
  });
  if (!socket) return tl::unexpected(socket.error());
  auto actor = runtime::spawn_on<portal_actor>(home, *socket, std::move(options), cores);
  return std::make_unique<listening_portal>(std::move(actor.handle), std::move(local));
}

portal_actor::portal_actor(caf::actor_config& config, reactor::handle socket, connection_options options,
                           std::vector<port::core_door> cores)
    : pinned(config), socket_(socket), options_(std::move(options)), cores_(std::move(cores)) {}

caf::behavior portal_actor::make_behavior() {
  alive_ = ctrl();
  set_down_handler([this](const caf::down_msg& down) {
    connections_.erase(down.source);
    maybe_finish();
  });
  accept();
  return {[this](const stop_order& order) { stop(order); }};
}

void portal_actor::on_exit() {
  home().loop().disarm(retry_);
  order_ = {};
  alive_ = nullptr;
}

void portal_actor::accept() {
  if (!stopping_ && !accept_.in_flight()) home().loop().accept(accept_, socket_);
}

void portal_actor::accept_operation::on_complete(std::int64_t result) noexcept {
  owner_.in_turn([&portal = owner_, result, socket = static_cast<reactor::handle>(result)] {
    if (result >= 0) portal.accepted(socket);
    if (portal.stopping_) return portal.release();
    if (result >= 0) return portal.accept();
    // No descriptors, most likely: the ones in use must end first.
    SLUICE_LOG(warning, "iscsi", "cannot accept a connection", {"errno", -result});
    portal.home().loop().arm(portal.retry_, 100 * ns_per_ms);
  });
}

void portal_actor::in_turn(std::function<void()> work) {
  send_note(new std::function<void()>(std::move(work)), 0);
}

void portal_actor::on_note(void* subject, std::uint32_t) {
  const std::unique_ptr<std::function<void()>> work(static_cast<std::function<void()>*>(subject));
  (*work)();
}

void portal_actor::accepted(reactor::handle socket) {
  // Who comes when there are enough sessions is told so; those that were told to go for it are still among these.
  const connection_limits limits = connection_limits::of(options_.bounds);
  if (stopping_ || connections_.size() >= limits.sessions + 2 * std::size_t{limits.strangers}) {
    SLUICE_LOG(warning, "iscsi", "connection refused: the portal has its maximum",
               {"max_connections", options_.bounds.max_connections});
    home().loop().close(socket);
    return;
  }
  const std::size_t number = next_core_++ % cores_.size();
  const port::core_door& core = cores_[number];
  connection_options options = options_;
  options.turns = options_.shared->turns.at(number);
  const auto spawned = runtime::spawn_on<connection_actor>(*core.core, socket, *core.gateway, std::move(options));
  monitor(spawned.handle);
  connections_.insert(caf::actor_cast<caf::actor_addr>(spawned.handle));
}

void portal_actor::stop(stop_order order) {
  order_ = std::move(order);
  stopping_ = true;
  for (const caf::actor_addr& each : connections_)
    if (const auto alive = caf::actor_cast<caf::actor>(each)) send(alive, close_order{port::loss_reason::shutdown});
  if (accept_.in_flight())
    home().loop().cancel(accept_);
  else
    release();
}

/// The address is free when the socket is closed, and that may be when nothing of it is in flight.
void portal_actor::release() {
  if (socket_ != reactor::no_handle) {
    home().loop().close(std::exchange(socket_, reactor::no_handle));
    std::exchange(order_.released, nullptr)();
  }
  maybe_finish();
}

void portal_actor::maybe_finish() {
  if (!stopping_ || socket_ != reactor::no_handle || !connections_.empty() || !order_.ended) return;
  std::exchange(order_.ended, nullptr)();
  quit();
}

}  // namespace sluice::iscsi
