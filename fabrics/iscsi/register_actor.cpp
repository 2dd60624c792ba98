#include <algorithm>

#include "fabrics/iscsi/port_actor.hpp"
#include "fabrics/iscsi/register.hpp"

namespace sluice::iscsi {

namespace {

constexpr int backlog = 1024;

class iscsi_port final : public port::target_port {
 public:
  iscsi_port(caf::strong_actor_ptr actor, std::vector<reactor::endpoint> portals)
      : actor_(std::move(actor)), portals_(std::move(portals)) {}
  void stop(std::function<void()> stopped) override {
    caf::anon_send(caf::actor_cast<caf::actor>(actor_), stop_order{std::move(stopped)});
  }
  std::vector<reactor::endpoint> portals() const override { return portals_; }

 private:
  caf::strong_actor_ptr actor_;
  std::vector<reactor::endpoint> portals_;
};

result<std::unique_ptr<port::target_port>> open_port(const std::string& port_name,
                                                     const std::vector<reactor::endpoint>& listen, std::uint16_t group,
                                                     const config::settings& more, const port::limits& bounds,
                                                     const std::vector<port::core_door>& cores) {
  runtime::core& home = *cores.front().core;
  std::vector<reactor::handle> sockets;
  std::vector<reactor::endpoint> portals;
  result<void> bound;
  home.call([&] {
    for (const reactor::endpoint& where : listen) {
      const auto socket = home.loop().listen(where, backlog);
      if (!socket) {
        bound = tl::unexpected(socket.error());
        break;
      }
      sockets.push_back(*socket);
      const auto local = home.loop().local_endpoint(*socket);
      portals.push_back(local ? *local : where);
    }
    if (!bound)
      for (const reactor::handle socket : sockets) home.loop().close(socket);
  });
  if (!bound) return tl::unexpected(bound.error());
  connection_options options;
  options.bounds = bounds;
  options.port_name = port_name;
  options.portal_group_tag = group;
  read_settings(more, options);
  auto actor = runtime::spawn_on<port_actor>(home, std::move(sockets), std::move(options), cores);
  return std::make_unique<iscsi_port>(std::move(actor.handle), std::move(portals));
}

}  // namespace

void register_fabric(port::registry& fabrics) { fabrics.add({"iscsi", connection_keys(), open_port}); }

}  // namespace sluice::iscsi
