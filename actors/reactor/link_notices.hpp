#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "actors/reactor/message_sockets.hpp"

/// What rtnetlink says about interfaces and their addresses, as values. Pure: octets in, octets out.
namespace sluice::reactor {

/// Groups of netlink_family::route to join for them.
inline constexpr unsigned link_group = 1;          // RTNLGRP_LINK
inline constexpr unsigned ipv4_address_group = 5;  // RTNLGRP_IPV4_IFADDR
inline constexpr unsigned ipv6_address_group = 9;  // RTNLGRP_IPV6_IFADDR

/// How an interface is now, or that it is gone.
struct link_notice {
  link_info link;
  std::string name;  // may change
  bool gone = false;
  bool operator==(const link_notice&) const = default;
};

/// An interface has an IP address, or has it no more.
struct address_notice {
  unsigned link_index = 0;
  std::string host;  // as in endpoint
  bool gone = false;
  bool operator==(const address_notice&) const = default;
};

/// The end of an answer. 0, or what the kernel refused a request with (-errno).
struct answer_end {
  std::uint32_t sequence = 0;
  std::int32_t problem = 0;
  bool operator==(const answer_end&) const = default;
};

using route_notice = std::variant<link_notice, address_notice, answer_end>;

/// Reads all messages of one datagram. What is no such notice, or is malformed, is passed over.
std::vector<route_notice> read_route_notices(const_bytes datagram);

/// Requests that the kernel answers with a notice for each interface, or each address, and an answer_end.
std::vector<std::uint8_t> ask_for_links(std::uint32_t sequence);
std::vector<std::uint8_t> ask_for_addresses(std::uint32_t sequence);

}  // namespace sluice::reactor
