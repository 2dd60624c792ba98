#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "actors/reactor/system_message_sockets.hpp"

namespace sluice::reactor {
namespace {

constexpr int receive_buffer_bytes = 4 << 20;  // what comes while a turn lasts: the default holds a hundred frames

result<ifreq> ask_interface(int fd, ifreq about, unsigned long question, const char* what) {
  if (::ioctl(fd, question, &about) != 0) {
    if (errno == ENODEV || errno == ENXIO) return fail(errc::not_found, std::string("no interface ") + about.ifr_name);
    return fail_errno(errno, std::string(what) + " of interface " + about.ifr_name);
  }
  return about;
}

result<void> set_up(int fd, const packet_binding& where) {
  ifreq about{};
  std::copy(where.interface.begin(), where.interface.end(), about.ifr_name);
  const result<ifreq> index = ask_interface(fd, about, SIOCGIFINDEX, "the number");
  if (!index) return tl::unexpected(index.error());
  const result<ifreq> hardware = ask_interface(fd, about, SIOCGIFHWADDR, "the address");
  if (!hardware) return tl::unexpected(hardware.error());
  if (hardware->ifr_hwaddr.sa_family != ARPHRD_ETHER)
    return fail(errc::unsupported, "interface " + where.interface + " is no Ethernet");
  // Beyond the system's limit only with CAP_NET_ADMIN; what the limit allows is better than the default.
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer_bytes, sizeof receive_buffer_bytes) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  if (where.promiscuous) {
    packet_mreq all{};
    all.mr_ifindex = index->ifr_ifindex;
    all.mr_type = PACKET_MR_PROMISC;
    if (::setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) != 0)
      return fail_errno(errno, "make interface " + where.interface + " promiscuous");
  }
  sockaddr_ll bound{};
  bound.sll_family = AF_PACKET;
  bound.sll_protocol = htons(where.ethertype);
  bound.sll_ifindex = index->ifr_ifindex;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&bound), sizeof bound) != 0)
    return fail_errno(errno, "bind to interface " + where.interface);
  return {};
}

/// The interface that a packet socket is bound to: 0 when it is gone.
result<int> bound_interface(handle packet) {
  sockaddr_ll bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(packet, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return fail_errno(errno, "ask a socket for its interface");
  if (bound.sll_family != AF_PACKET) return fail(errc::invalid_argument, "no packet socket");
  return std::max(bound.sll_ifindex, 0);
}

}  // namespace

result<handle> system_message_sockets::open_packet(const packet_binding& where) {
  if (where.ethertype < 0x0600) return fail(errc::invalid_argument, "an EtherType is 0x0600 or more");
  if (where.interface.empty() || where.interface.size() >= IFNAMSIZ)
    return fail(errc::invalid_argument, "no name of an interface: '" + where.interface + "'");
  // Without a protocol nothing comes before it is bound: no frame of another interface is ever received.
  const int fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail_errno(errno, "make a packet socket (it needs CAP_NET_RAW)");
  if (const result<void> ready = set_up(fd, where); !ready) {
    ::close(fd);
    return tl::unexpected(ready.error());
  }
  return fd;
}

result<void> system_message_sockets::set_membership(handle packet, const mac_address& address, bool member) {
  const result<int> index = bound_interface(packet);
  if (!index) return tl::unexpected(index.error());
  packet_mreq asked{};
  asked.mr_ifindex = *index;
  asked.mr_type = (address[0] & 1) ? PACKET_MR_MULTICAST : PACKET_MR_UNICAST;
  asked.mr_alen = address.size();
  std::copy(address.begin(), address.end(), asked.mr_address);
  if (::setsockopt(packet, SOL_PACKET, member ? PACKET_ADD_MEMBERSHIP : PACKET_DROP_MEMBERSHIP, &asked, sizeof asked) !=
      0)
    return fail_errno(errno, member ? "receive for another Ethernet address" : "give up an Ethernet address");
  return {};
}

result<link_info> system_message_sockets::link_of(handle packet) {
  const result<int> index = bound_interface(packet);
  if (!index) return tl::unexpected(index.error());
  ifreq about{};
  if (*index == 0 || !::if_indextoname(static_cast<unsigned>(*index), about.ifr_name))
    return fail(errc::not_found, "the interface is gone");
  link_info found;
  found.index = static_cast<unsigned>(*index);
  const result<ifreq> address = ask_interface(packet, about, SIOCGIFHWADDR, "the address");
  if (!address) return tl::unexpected(address.error());
  std::memcpy(found.address.data(), address->ifr_hwaddr.sa_data, found.address.size());
  const result<ifreq> mtu = ask_interface(packet, about, SIOCGIFMTU, "the MTU");
  if (!mtu) return tl::unexpected(mtu.error());
  found.mtu = static_cast<std::uint32_t>(mtu->ifr_mtu);
  const result<ifreq> flags = ask_interface(packet, about, SIOCGIFFLAGS, "the state");
  if (!flags) return tl::unexpected(flags.error());
  found.up = (flags->ifr_flags & IFF_UP) && (flags->ifr_flags & IFF_RUNNING);
  return found;
}

}  // namespace sluice::reactor
