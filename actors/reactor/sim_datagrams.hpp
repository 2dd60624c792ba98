#pragma once
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "actors/reactor/simulated.hpp"

namespace sluice::reactor {

/// Packet and netlink sockets of a simulated world: interfaces on Ethernet segments, and a kernel that says what the
/// test has it say.
class sim_datagrams {
 public:
  explicit sim_datagrams(sim_world& world) : world_(world) {}

  void add_link(const std::string& name, const mac_address& address, const std::string& segment, std::uint32_t mtu);
  void set_link(const std::string& name, bool up);
  void remove_link(const std::string& name);
  void notice(netlink_family family, unsigned group, const_bytes octets);
  void answer_with(sim_world::netlink_answerer answerer) { answerer_ = std::move(answerer); }

  result<handle> open_packet(std::uint64_t loop, const packet_binding& where);
  result<void> set_membership(handle h, const mac_address& address, bool member);
  result<link_info> link_of(handle h) const;
  result<handle> open_netlink(std::uint64_t loop, netlink_family family);
  result<void> join_group(handle h, unsigned group);

  bool has(handle h) const { return sockets_.contains(h); }
  std::int64_t send(handle h, const iovec* parts, unsigned count);
  std::int64_t receive(handle h, datagram& into);
  void wait_readable(std::uint64_t request, handle h);
  void wait_writable(std::uint64_t request);
  void close(handle h);
  void crash(std::uint64_t loop);

 private:
  using octets = std::vector<std::uint8_t>;
  struct link {
    link_info about;
    std::string segment;
  };
  struct socket {
    std::uint64_t loop = 0;
    bool is_packet = false;
    packet_binding bound;
    unsigned link_index = 0;
    std::multiset<mac_address> addresses;
    netlink_family family = netlink_family::route;
    std::set<unsigned> groups;
    std::deque<octets> inbox;
    std::int64_t problem = 0;  // told once
    std::uint64_t reader = 0;
  };

  std::int64_t send_frame(const socket& from, octets frame);
  std::int64_t send_request(handle h, const socket& from, const octets& request);
  void arrive(handle h, const octets& frame);
  bool wants(const socket& at, const link& over, const_bytes destination) const;
  void put(socket& into, octets what);
  void fail_bound(const std::string& interface);
  void tell(socket& at);
  const link* link_under(const socket& of) const;

  sim_world& world_;
  std::map<std::string, link> links_;
  std::map<handle, socket> sockets_;
  std::map<std::string, std::uint64_t> last_arrival_ns_;  // by segment: frames keep their order
  sim_world::netlink_answerer answerer_;
  unsigned next_index_ = 1;
};

}  // namespace sluice::reactor
