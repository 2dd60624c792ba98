#include "fabrics/iscsi/portal_table.hpp"

#include <gtest/gtest.h>

namespace sluice::iscsi {
namespace {

using reactor::endpoint;

const vantage from_network{1, {"192.0.2.1", 3260}, {"192.0.2.77", 50000}};
const vantage from_loopback{2, {"127.0.0.1", 3260}, {"127.0.0.1", 50000}};

served_port_ptr port(const char* name, std::uint16_t group, std::vector<portal_id> portals,
                     std::vector<std::string> advertise = {}) {
  served_port made;
  made.id = {"iscsi", name, group};
  made.portals = std::move(portals);
  made.advertise = std::move(advertise);
  return std::make_shared<const served_port>(std::move(made));
}

/// NULs as spaces.
std::string shown(std::string text) {
  for (char& c : text)
    if (c == '\0') c = ' ';
  return text;
}

std::string targets(const portal_table& table, const vantage& from, const std::string& name = {}) {
  return shown(table.send_targets(from, name, [](const port::port_id&) { return true; }));
}

portal_table sample() {
  return {{{1, {"192.0.2.1", 3260}}, {2, {"127.0.0.1", 3260}}, {3, {"198.51.100.1", 3260}}},
          {port("iqn.a", 1, {1}), port("iqn.a", 2, {3}), port("iqn.b", 1, {1}), port("iqn.local", 1, {2})}};
}

TEST(portal_table, finds_a_target_only_where_it_is_served) {
  const portal_table t = sample();
  EXPECT_EQ(t.find(1, "iqn.a")->id.group, 1);
  EXPECT_EQ(t.find(3, "iqn.a")->id.group, 2);
  EXPECT_EQ(t.find(1, "iqn.b")->id.name, "iqn.b");
  EXPECT_EQ(t.find(1, "iqn.local"), nullptr) << "a target on loopback is not reached through the network";
  EXPECT_EQ(t.find(3, "iqn.b"), nullptr);
  EXPECT_EQ(t.find(9, "iqn.a"), nullptr);
}

TEST(portal_table, shows_each_target_of_a_portal_once_with_all_its_groups) {
  EXPECT_EQ(targets(sample(), from_network),
            "TargetName=iqn.a TargetAddress=192.0.2.1:3260,1 TargetAddress=198.51.100.1:3260,2 "
            "TargetName=iqn.b TargetAddress=192.0.2.1:3260,1 ");
  EXPECT_EQ(targets(sample(), from_loopback), "TargetName=iqn.local TargetAddress=127.0.0.1:3260,1 ");
  EXPECT_EQ(targets(sample(), from_network, "iqn.b"), "TargetName=iqn.b TargetAddress=192.0.2.1:3260,1 ");
  EXPECT_EQ(targets(sample(), from_network, "iqn.local"), "");
}

TEST(portal_table, shows_only_what_the_initiator_may_see) {
  EXPECT_EQ(shown(sample().send_targets(from_network, "", [](const port::port_id& id) { return id.name == "iqn.b"; })),
            "TargetName=iqn.b TargetAddress=192.0.2.1:3260,1 ");
}

TEST(portal_table, tells_what_the_operator_advertises) {
  const portal_table t({{1, {"10.0.0.5", 3260}}},
                       {port("iqn.a", 1, {1}, {"gw.example.com:3260", "[2001:db8::5]:3260"})});
  EXPECT_EQ(targets(t, from_network),
            "TargetName=iqn.a TargetAddress=gw.example.com:3260,1 TargetAddress=[2001:db8::5]:3260,1 ");
}

TEST(portal_table, names_an_address_once) {
  const portal_table t({{1, {"0.0.0.0", 3260}}, {2, {"192.0.2.1", 3260}}}, {port("iqn.a", 1, {1, 2})});
  EXPECT_EQ(targets(t, from_network), "TargetName=iqn.a TargetAddress=192.0.2.1:3260,1 ");
}

TEST(told_address, is_one_that_leads_there) {
  const auto told = [](const endpoint& portal, const vantage& from) {
    const auto address = told_address(portal, from);
    return address ? address->to_string() : "";
  };
  const vantage v6{1, {"2001:db8::1", 3261}, {"2001:db8::77", 50000}};
  const vantage link{1, {"fe80::1%eth0", 3260}, {"fe80::77%eth0", 50000}};
  // A wildcard is reached by the address that the initiator came to, if that is of its family.
  EXPECT_EQ(told({"0.0.0.0", 3260}, from_network), "192.0.2.1:3260");
  EXPECT_EQ(told({"0.0.0.0", 4000}, from_network), "192.0.2.1:4000");
  EXPECT_EQ(told({"0.0.0.0", 3260}, v6), "") << "nobody listens at the IPv6 address and this port";
  EXPECT_EQ(told({"::", 3261}, v6), "[2001:db8::1]:3261");
  EXPECT_EQ(told({"::", 3261}, from_network), "");
  // Loopback means another host to whoever is not on this one.
  EXPECT_EQ(told({"127.0.0.1", 3260}, from_network), "");
  EXPECT_EQ(told({"::1", 3260}, from_loopback), "[::1]:3260");
  // A link-local address leads there on its own link, whose name is each host's own.
  EXPECT_EQ(told({"fe80::1%eth0", 3260}, link), "[fe80::1]:3260");
  EXPECT_EQ(told({"fe80::1%eth1", 3260}, link), "");
  EXPECT_EQ(told({"fe80::1%eth0", 3260}, from_network), "");
  EXPECT_EQ(told({"::", 3260}, link), "[fe80::1]:3260");
}

}  // namespace
}  // namespace sluice::iscsi
