#include "actors/reactor/message_contract.hpp"

namespace sluice::reactor {
namespace {

constexpr std::uint16_t ethertype = 0x88b5;  // for local experiments
constexpr mac_address broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/// Two interfaces on one wire, and what is needed to talk over it.
class packet_contract : public message_contract {
 protected:
  void SetUp() override {
    message_contract::SetUp();
    if (const std::string why = driver_->make_links(); !why.empty()) {
      std::printf("skipped: %s\n", why.c_str());
      GTEST_SKIP() << why;
    }
    left_ = sockets().open_packet({"wire0", ethertype}).value();
    right_ = sockets().open_packet({"wire1", ethertype}).value();
    ASSERT_TRUE(until([&] { return sockets().link_of(left_)->up && sockets().link_of(right_)->up; }));
    left_address_ = sockets().link_of(left_)->address;
    right_address_ = sockets().link_of(right_)->address;
  }
  void TearDown() override {
    for (const handle h : {left_, right_})
      if (h != no_handle) on().close(h);
  }

  std::vector<std::uint8_t> frame(const mac_address& to, std::vector<std::uint8_t> payload,
                                  std::uint16_t type = ethertype) {
    std::vector<std::uint8_t> made(to.begin(), to.end());
    made.insert(made.end(), left_address_.begin(), left_address_.end());
    made.push_back(static_cast<std::uint8_t>(type >> 8));
    made.push_back(static_cast<std::uint8_t>(type));
    made.insert(made.end(), payload.begin(), payload.end());
    return made;
  }
  /// The next frame that `h` gets with a payload that begins with `first`: frames for others may come in between.
  std::vector<std::uint8_t> next(handle h, std::uint8_t first) {
    std::vector<std::uint8_t> room(4096);
    for (;;) {
      datagram came{.into = room};
      const std::int64_t got = receive(h, came);
      if (got < 0) return {};
      EXPECT_EQ(came.length, static_cast<std::size_t>(got));
      if (got > 14 && room[14] == first) return {room.begin(), room.begin() + got};
    }
  }

  handle left_ = no_handle, right_ = no_handle;
  mac_address left_address_{}, right_address_{};
};

}  // namespace

TEST_P(packet_contract, frames_come_whole_and_in_order) {
  EXPECT_EQ(sockets().link_of(left_)->mtu, 1500u);
  EXPECT_NE(left_address_, right_address_);
  for (std::uint8_t i = 1; i <= 20; ++i) {
    const auto sent = frame(right_address_, std::vector<std::uint8_t>(50u + i, i));
    EXPECT_EQ(send(left_, sent), static_cast<std::int64_t>(sent.size()));
  }
  for (std::uint8_t i = 1; i <= 20; ++i) {
    const auto came = next(right_, i);
    EXPECT_EQ(came, frame(right_address_, std::vector<std::uint8_t>(50u + i, i)));
    ASSERT_GE(came.size(), 14u);
    EXPECT_TRUE(std::equal(left_address_.begin(), left_address_.end(), came.begin() + 6)) << "the source";
  }
  datagram nothing{.into = {}};
  EXPECT_EQ(sockets().receive_datagram(right_, nothing), -EAGAIN);
  EXPECT_EQ(sockets().receive_datagram(left_, nothing), -EAGAIN) << "nobody hears himself";
}

TEST_P(packet_contract, a_frame_that_is_too_long_is_told) {
  const auto sent = frame(right_address_, std::vector<std::uint8_t>(300, 7));
  EXPECT_EQ(send(left_, sent), 314);
  std::vector<std::uint8_t> room(100);
  datagram came{.into = room};
  EXPECT_EQ(receive(right_, came), 100);
  EXPECT_EQ(came.length, 314u);
  EXPECT_TRUE(std::equal(room.begin(), room.end(), sent.begin()));
  EXPECT_EQ(send(left_, frame(right_address_, std::vector<std::uint8_t>(1500, 8))), 1514);
  EXPECT_EQ(next(right_, 8).size(), 1514u);
  EXPECT_EQ(send(left_, frame(right_address_, std::vector<std::uint8_t>(1501, 9))), -EMSGSIZE);
}

TEST_P(packet_contract, frames_of_other_types_go_to_others) {
  const handle other = sockets().open_packet({"wire1", 0x88b6}).value();
  EXPECT_GT(send(left_, frame(right_address_, std::vector<std::uint8_t>(50, 1), 0x88b6)), 0);
  EXPECT_GT(send(left_, frame(right_address_, std::vector<std::uint8_t>(50, 2))), 0);
  EXPECT_EQ(next(right_, 2), frame(right_address_, std::vector<std::uint8_t>(50, 2)));
  std::vector<std::uint8_t> room(2000);
  datagram came{.into = room};
  EXPECT_EQ(sockets().receive_datagram(right_, came), -EAGAIN);
  EXPECT_EQ(receive(other, came), 64);
  EXPECT_EQ(room[14], 1);
  on().close(other);
}

TEST_P(packet_contract, groups_and_more_addresses_are_received_for) {
  constexpr mac_address group{0x01, 0x10, 0x18, 0x01, 0x00, 0x04}, another{0x0e, 0xfd, 0x00, 0x00, 0x12, 0x34};
  ASSERT_TRUE(sockets().set_membership(right_, group, true));
  ASSERT_TRUE(sockets().set_membership(right_, another, true));
  std::uint8_t number = 1;
  for (const mac_address& to : {group, another, broadcast}) {
    EXPECT_GT(send(left_, frame(to, std::vector<std::uint8_t>(50, number))), 0);
    EXPECT_EQ(next(right_, number), frame(to, std::vector<std::uint8_t>(50, number)));
    ++number;
  }
  EXPECT_TRUE(sockets().set_membership(right_, group, false));
  EXPECT_TRUE(sockets().set_membership(right_, group, false)) << "no member any more: nothing to do";
}

TEST_P(packet_contract, a_promiscuous_socket_gets_what_is_for_others) {
  const handle all = sockets().open_packet({.interface = "wire1", .ethertype = ethertype, .promiscuous = true}).value();
  constexpr mac_address nobody{0x02, 0, 0, 0, 0, 0x99};
  EXPECT_GT(send(left_, frame(nobody, std::vector<std::uint8_t>(50, 3))), 0);
  EXPECT_EQ(next(all, 3), frame(nobody, std::vector<std::uint8_t>(50, 3)));
  on().close(all);
}

TEST_P(packet_contract, what_is_for_others_is_told) {
  std::vector<std::uint8_t> tagged = frame(right_address_, {0x60, 0x64, ethertype >> 8, ethertype & 0xff}, 0x8100);
  tagged.resize(100, 4);  // VLAN 100, priority 3
  EXPECT_EQ(send(left_, tagged), 100);
  std::vector<std::uint8_t> room(2000);
  datagram came{.into = room};
  EXPECT_EQ(receive(right_, came), 96) << "without the tag";
  EXPECT_EQ(room[12] << 8 | room[13], ethertype);
  EXPECT_EQ(room[14], 4);
  EXPECT_TRUE(came.for_others) << "of a VLAN that the interface is not on";
  for (const mac_address& to : {right_address_, broadcast}) {
    EXPECT_EQ(send(left_, frame(to, std::vector<std::uint8_t>(50, 5))), 64);
    EXPECT_EQ(receive(right_, came), 64);
    EXPECT_FALSE(came.for_others);
  }
}

TEST_P(packet_contract, an_interface_that_goes_down_is_told_once_and_may_come_back) {
  driver_->set_link("wire1", false);
  std::vector<std::uint8_t> room(2000);
  datagram came{.into = room};
  EXPECT_EQ(receive(right_, came), -ENETDOWN);
  EXPECT_EQ(sockets().receive_datagram(right_, came), -EAGAIN);
  EXPECT_FALSE(sockets().link_of(right_)->up);
  EXPECT_EQ(send(right_, frame(left_address_, std::vector<std::uint8_t>(50, 1))), -ENETDOWN);
  driver_->set_link("wire1", true);
  ASSERT_TRUE(until([&] { return sockets().link_of(right_)->up && sockets().link_of(left_)->up; }));
  EXPECT_GT(send(left_, frame(right_address_, std::vector<std::uint8_t>(50, 6))), 0);
  EXPECT_EQ(next(right_, 6), frame(right_address_, std::vector<std::uint8_t>(50, 6)));
}

TEST_P(packet_contract, opening_fails_as_the_system_says) {
  EXPECT_EQ(sockets().open_packet({"nowhere0", ethertype}).error().code, errc::not_found);
  EXPECT_EQ(sockets().open_packet({"wire0", 3}).error().code, errc::invalid_argument);
  EXPECT_FALSE(sockets().open_packet({"", ethertype}));
  EXPECT_FALSE(sockets().open_packet({std::string(100, 'x'), ethertype}));
  const local_pair other = connected_locally();
  EXPECT_FALSE(sockets().link_of(other.client));
  EXPECT_FALSE(sockets().set_membership(other.client, broadcast, true));
  close(other);
}

TEST_P(packet_contract, netlink_answers_requests) {
  const handle netlink = sockets().open_netlink(netlink_family::route).value();
  const std::vector<std::uint8_t> request = ask_for_links(7);
  EXPECT_EQ(send(netlink, request), static_cast<std::int64_t>(request.size()));
  std::vector<route_notice> all;
  std::vector<std::uint8_t> room(65536);
  const auto over = [&] { return !all.empty() && std::holds_alternative<answer_end>(all.back()); };
  while (!over()) {
    datagram came{.into = room};
    const std::int64_t got = receive(netlink, came);
    ASSERT_GT(got, 0);
    for (route_notice& each : read_route_notices(bytes(room).first(static_cast<std::size_t>(got))))
      all.push_back(std::move(each));
  }
  EXPECT_EQ(std::get<answer_end>(all.back()).problem, 0);
  const bool found = std::any_of(all.begin(), all.end(), [&](const route_notice& each) {
    const auto* link = std::get_if<link_notice>(&each);
    return link && link->name == "wire1" && link->link == sockets().link_of(right_).value();
  });
  EXPECT_TRUE(found);
  on().close(netlink);
}

TEST_P(packet_contract, netlink_tells_those_who_joined_a_group) {
  const handle member = sockets().open_netlink(netlink_family::route).value();
  const handle other = sockets().open_netlink(netlink_family::route).value();
  ASSERT_TRUE(sockets().join_group(member, link_group));
  driver_->set_link("wire1", false);
  std::vector<std::uint8_t> room(65536);
  for (bool seen = false; !seen;) {
    datagram came{.into = room};
    const std::int64_t got = receive(member, came);
    ASSERT_GT(got, 0);
    for (const route_notice& each : read_route_notices(bytes(room).first(static_cast<std::size_t>(got))))
      if (const auto* link = std::get_if<link_notice>(&each); link && link->name == "wire1" && !link->link.up)
        seen = true;
  }
  datagram came{.into = room};
  EXPECT_EQ(sockets().receive_datagram(other, came), -EAGAIN);
  on().close(member);
  on().close(other);
}

INSTANTIATE_TEST_SUITE_P(loops, packet_contract, kinds_of_loops(), name_of_kind);

}  // namespace sluice::reactor
