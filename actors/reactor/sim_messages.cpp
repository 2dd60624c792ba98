#include "actors/reactor/sim_messages.hpp"

#include "actors/reactor/sim_datagrams.hpp"
#include "actors/reactor/sim_events.hpp"
#include "actors/reactor/sim_loop.hpp"
#include "actors/reactor/sim_network.hpp"

namespace sluice::reactor {

result<handle> sim_messages::listen_local(const std::string& path, int backlog) {
  return world_.network().listen_local(on_, path, backlog);
}

result<handle> sim_messages::connect_local(const std::string& path) {
  return world_.network().connect_local(on_, path);
}

result<peer_credentials> sim_messages::credentials(handle h) {
  return world_.network().credentials(h);
}

std::int64_t sim_messages::send_passing(handle h, const iovec* parts, unsigned count,
                                        std::span<const handle> passed) noexcept {
  if (passed.size() > passed_handles::limit) return -EINVAL;
  sim_events::several duplicates;
  for (const handle each : passed) {
    duplicates.push_back(world_.events().find(each));
    if (!duplicates.back()) return -EBADF;
  }
  return world_.network().send(on_, h, parts, count, std::move(duplicates));
}

result<handle> sim_messages::open_packet(const packet_binding& where) {
  return world_.datagrams().open_packet(on_.number(), where);
}

result<void> sim_messages::set_membership(handle packet, const mac_address& address, bool member) {
  return world_.datagrams().set_membership(packet, address, member);
}

result<link_info> sim_messages::link_of(handle packet) {
  return world_.datagrams().link_of(packet);
}

result<handle> sim_messages::open_netlink(netlink_family family) {
  return world_.datagrams().open_netlink(on_.number(), family);
}

result<void> sim_messages::join_group(handle netlink, unsigned group) {
  return world_.datagrams().join_group(netlink, group);
}

std::int64_t sim_messages::receive_passing(handle h, message& into) noexcept {
  into.passed.clear();
  into.handles_lost = false;
  sim_events::several came;
  const std::int64_t got = world_.network().receive_now(on_, h, into.into, came);
  for (const sim_events::shared& each : came) into.passed.add(on_, world_.events().adopt(on_.number(), each));
  return got;
}

std::int64_t sim_messages::receive_datagram(handle h, datagram& into) noexcept {
  return world_.datagrams().receive(h, into);
}

result<handle> sim_messages::open_event() {
  return world_.events().adopt(on_.number(), std::make_shared<sim_events::event>());
}

std::int64_t sim_messages::signal(handle event) noexcept {
  return world_.events().signal(event);
}

std::int64_t sim_messages::drain(handle event) noexcept {
  return world_.events().drain(event);
}

}  // namespace sluice::reactor
