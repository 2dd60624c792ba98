#pragma once
#include "actors/reactor/message_sockets.hpp"

namespace sluice::reactor {

class sim_world;
class sim_loop;

/// The message sockets of one simulated loop. Paths, interfaces and netlink are the world's; of handles only events can
/// be passed.
class sim_messages final : public message_sockets {
 public:
  sim_messages(sim_world& world, sim_loop& on) : world_(world), on_(on) {}

  result<handle> listen_local(const std::string& path, int backlog) override;
  result<handle> connect_local(const std::string& path) override;
  result<peer_credentials> credentials(handle h) override;
  std::int64_t send_passing(handle h, const iovec* parts, unsigned count,
                            std::span<const handle> passed) noexcept override;
  result<handle> open_packet(const packet_binding& where) override;
  result<void> set_membership(handle packet, const mac_address& address, bool member) override;
  result<link_info> link_of(handle packet) override;
  result<handle> open_netlink(netlink_family family) override;
  result<void> join_group(handle netlink, unsigned group) override;
  std::int64_t receive_passing(handle h, message& into) noexcept override;
  std::int64_t receive_datagram(handle h, datagram& into) noexcept override;
  result<handle> open_event() override;
  std::int64_t signal(handle event) noexcept override;
  std::int64_t drain(handle event) noexcept override;

 private:
  sim_world& world_;
  sim_loop& on_;
};

}  // namespace sluice::reactor
