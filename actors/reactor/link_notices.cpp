#include "actors/reactor/link_notices.hpp"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <cstring>

namespace sluice::reactor {
namespace {

/// Netlink is host-endian and aligned to four octets; a copy makes no assumption about where it lies.
template <class T>
std::optional<T> front_of(const_bytes from) {
  if (from.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, from.data(), sizeof value);
  return value;
}

const_bytes behind(const_bytes of, std::size_t octets) {
  const std::size_t aligned = (octets + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO;
  return of.subspan(std::min(aligned, of.size()));
}

/// Calls visit(type, payload) for each well-formed attribute.
template <class Visit>
void each_attribute(const_bytes from, Visit visit) {
  while (const auto header = front_of<rtattr>(from)) {
    if (header->rta_len < sizeof *header || header->rta_len > from.size()) return;
    visit(header->rta_type, from.subspan(sizeof *header, header->rta_len - sizeof *header));
    from = behind(from, header->rta_len);
  }
}

std::string text_of(const_bytes payload) {
  return {payload.begin(), std::find(payload.begin(), payload.end(), std::uint8_t{0})};
}

std::optional<route_notice> read_link(const_bytes body, bool gone) {
  const auto about = front_of<ifinfomsg>(body);
  if (!about || about->ifi_index <= 0) return std::nullopt;
  link_notice found;
  found.gone = gone;
  found.link.index = static_cast<unsigned>(about->ifi_index);
  found.link.up = !gone && (about->ifi_flags & IFF_UP) && (about->ifi_flags & IFF_RUNNING);
  each_attribute(behind(body, sizeof *about), [&](unsigned type, const_bytes payload) {
    if (type == IFLA_IFNAME) found.name = text_of(payload);
    if (type == IFLA_MTU) found.link.mtu = front_of<std::uint32_t>(payload).value_or(0);
    if (type == IFLA_ADDRESS && payload.size() == found.link.address.size())
      std::copy(payload.begin(), payload.end(), found.link.address.begin());
  });
  return found;
}

std::optional<route_notice> read_address(const_bytes body, bool gone) {
  const auto about = front_of<ifaddrmsg>(body);
  if (!about || (about->ifa_family != AF_INET && about->ifa_family != AF_INET6)) return std::nullopt;
  address_notice found;
  found.gone = gone;
  found.link_index = about->ifa_index;
  const std::size_t size = about->ifa_family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr);
  bool is_local = false;
  each_attribute(behind(body, sizeof *about), [&](unsigned type, const_bytes payload) {
    // Of a point-to-point link, IFA_ADDRESS is the peer's: IFA_LOCAL says more where there is one.
    if ((type != IFA_ADDRESS && type != IFA_LOCAL) || payload.size() != size || is_local) return;
    is_local = type == IFA_LOCAL;
    char text[INET6_ADDRSTRLEN];
    found.host = ::inet_ntop(about->ifa_family, payload.data(), text, sizeof text);
  });
  if (found.host.empty()) return std::nullopt;
  return found;
}

std::optional<route_notice> read_end(const nlmsghdr& header, const_bytes body) {
  return answer_end{header.nlmsg_seq, front_of<std::int32_t>(body).value_or(0)};
}

std::optional<route_notice> read_one(const nlmsghdr& header, const_bytes body) {
  switch (header.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return read_link(body, header.nlmsg_type == RTM_DELLINK);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return read_address(body, header.nlmsg_type == RTM_DELADDR);
    case NLMSG_DONE:
    case NLMSG_ERROR:
      return read_end(header, body);
    default:
      return std::nullopt;
  }
}

template <class Body>
std::vector<std::uint8_t> ask_for_all(std::uint16_t type, std::uint32_t sequence) {
  struct {
    nlmsghdr header;
    Body body;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = sequence;
  std::vector<std::uint8_t> octets(sizeof request);
  std::memcpy(octets.data(), &request, sizeof request);
  return octets;
}

}  // namespace

std::vector<route_notice> read_route_notices(const_bytes datagram) {
  std::vector<route_notice> found;
  while (const auto header = front_of<nlmsghdr>(datagram)) {
    if (header->nlmsg_len < sizeof *header || header->nlmsg_len > datagram.size()) break;
    const const_bytes body = datagram.subspan(sizeof *header, header->nlmsg_len - sizeof *header);
    if (auto notice = read_one(*header, body)) found.push_back(std::move(*notice));
    datagram = behind(datagram, header->nlmsg_len);
  }
  return found;
}

std::vector<std::uint8_t> ask_for_links(std::uint32_t sequence) {
  return ask_for_all<ifinfomsg>(RTM_GETLINK, sequence);
}

std::vector<std::uint8_t> ask_for_addresses(std::uint32_t sequence) {
  return ask_for_all<ifaddrmsg>(RTM_GETADDR, sequence);
}

}  // namespace sluice::reactor
