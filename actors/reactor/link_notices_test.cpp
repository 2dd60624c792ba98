#include "actors/reactor/link_notices.hpp"

#include <gtest/gtest.h>
#include <linux/if_addr.h>

#include "actors/reactor/netlink_messages.hpp"

namespace sluice::reactor {
namespace {

std::vector<std::uint8_t> address_message(std::uint16_t type, std::uint8_t family,
                                          const std::vector<std::uint8_t>& address,
                                          const std::vector<std::uint8_t>& local = {}) {
  ifaddrmsg about{};
  about.ifa_family = family;
  about.ifa_index = 3;
  std::vector<std::uint8_t> body;
  append(body, &about, sizeof about);
  append_attribute(body, IFA_ADDRESS, address.data(), address.size());
  if (!local.empty()) append_attribute(body, IFA_LOCAL, local.data(), local.size());
  return netlink_message(type, body);
}

}  // namespace

TEST(link_notices, tell_how_an_interface_is) {
  const auto up = read_route_notices(link_message(RTM_NEWLINK, 7, "eth0.100", true));
  ASSERT_EQ(up.size(), 1u);
  EXPECT_EQ(std::get<link_notice>(up[0]), (link_notice{{7, {2, 0, 0, 0, 0, 7}, 1500, true}, "eth0.100", false}));
  const auto down = read_route_notices(link_message(RTM_NEWLINK, 7, "eth0", false));
  EXPECT_FALSE(std::get<link_notice>(down.at(0)).link.up);
  const auto gone = read_route_notices(link_message(RTM_DELLINK, 7, "eth0", true));
  EXPECT_TRUE(std::get<link_notice>(gone.at(0)).gone);
  EXPECT_FALSE(std::get<link_notice>(gone.at(0)).link.up);
}

TEST(link_notices, tell_the_addresses) {
  const auto plain = read_route_notices(address_message(RTM_NEWADDR, AF_INET, {192, 0, 2, 7}));
  EXPECT_EQ(std::get<address_notice>(plain.at(0)), (address_notice{3, "192.0.2.7", false}));
  const auto peer = read_route_notices(address_message(RTM_DELADDR, AF_INET, {192, 0, 2, 9}, {192, 0, 2, 7}));
  EXPECT_EQ(std::get<address_notice>(peer.at(0)), (address_notice{3, "192.0.2.7", true}))
      << "our own end, not the peer's";
  std::vector<std::uint8_t> v6(16);
  v6[15] = 1;
  EXPECT_EQ(std::get<address_notice>(read_route_notices(address_message(RTM_NEWADDR, AF_INET6, v6)).at(0)).host, "::1");
}

TEST(link_notices, several_messages_and_the_end_of_an_answer_share_a_datagram) {
  std::vector<std::uint8_t> datagram = link_message(RTM_NEWLINK, 1, "lo", true);
  for (const auto& next : {link_message(RTM_NEWLINK, 2, "a", true), netlink_message(RTM_NEWROUTE, {1, 2, 3, 4}),
                           answer_message(NLMSG_ERROR, -EPERM)})
    append(datagram, next.data(), next.size());
  const auto found = read_route_notices(datagram);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(std::get<link_notice>(found[1]).name, "a");
  EXPECT_EQ(std::get<answer_end>(found[2]).problem, -EPERM);
}

TEST(link_notices, what_is_malformed_is_passed_over) {
  const std::vector<std::uint8_t> whole = link_message(RTM_NEWLINK, 1, "eth0", true);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_TRUE(read_route_notices(const_bytes(whole).first(size)).empty()) << size;
    std::vector<std::uint8_t> damaged = whole;
    damaged[size] ^= 0xff;
    read_route_notices(damaged);
  }
  EXPECT_TRUE(read_route_notices(address_message(RTM_NEWADDR, AF_INET, {1, 2, 3})).empty());
  EXPECT_TRUE(read_route_notices(link_message(RTM_NEWLINK, -1, "eth0", true)).empty());
}

}  // namespace sluice::reactor
