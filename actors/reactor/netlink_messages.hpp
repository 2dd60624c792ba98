#pragma once
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cstring>
#include <string>
#include <vector>

#include "actors/reactor/link_notices.hpp"

/// Netlink messages as the kernel sends them, for tests.
namespace sluice::reactor {

inline void append(std::vector<std::uint8_t>& to, const void* from, std::size_t size) {
  const auto* octets = static_cast<const std::uint8_t*>(from);
  to.insert(to.end(), octets, octets + size);
  to.resize((to.size() + 3) / 4 * 4);
}

inline void append_attribute(std::vector<std::uint8_t>& to, std::uint16_t type, const void* from, std::size_t size) {
  const rtattr header{static_cast<std::uint16_t>(sizeof(rtattr) + size), type};
  append(to, &header, sizeof header);
  append(to, from, size);
}

inline std::vector<std::uint8_t> netlink_message(std::uint16_t type, const std::vector<std::uint8_t>& body) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
  header.nlmsg_type = type;
  std::vector<std::uint8_t> made;
  append(made, &header, sizeof header);
  append(made, body.data(), body.size());
  return made;
}

inline std::vector<std::uint8_t> link_message(std::uint16_t type, int index, const std::string& name, bool up) {
  ifinfomsg about{};
  about.ifi_index = index;
  about.ifi_flags = up ? IFF_UP | IFF_RUNNING : 0u;
  std::vector<std::uint8_t> body;
  append(body, &about, sizeof about);
  append_attribute(body, IFLA_IFNAME, name.c_str(), name.size() + 1);
  const std::uint32_t mtu = 1500;
  append_attribute(body, IFLA_MTU, &mtu, sizeof mtu);
  const mac_address address{2, 0, 0, 0, 0, static_cast<std::uint8_t>(index)};
  append_attribute(body, IFLA_ADDRESS, address.data(), address.size());
  return netlink_message(type, body);
}

inline std::vector<std::uint8_t> answer_message(std::uint16_t type, std::int32_t problem) {
  std::vector<std::uint8_t> body;
  append(body, &problem, sizeof problem);
  return netlink_message(type, body);
}

}  // namespace sluice::reactor
