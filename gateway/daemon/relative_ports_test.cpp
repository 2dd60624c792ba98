#include "gateway/daemon/relative_ports.hpp"

#include <gtest/gtest.h>

namespace sluice::daemon {

static port::port_id iscsi(const char* name, std::uint16_t group = 1) {
  return {"iscsi", name, group};
}

TEST(relative_ports, keep_their_numbers_whatever_comes_and_goes) {
  const auto state = state::make_memory_store();
  {
    auto ports = *relative_ports::load(*state);
    EXPECT_EQ(ports.of(iscsi("iqn.a")).value(), 1);
    EXPECT_EQ(ports.of(iscsi("iqn.b")).value(), 2);
    EXPECT_EQ(ports.of(iscsi("iqn.a")).value(), 1);
    EXPECT_EQ(ports.of(iscsi("iqn.a", 2)).value(), 3) << "a port of the same name in another group is another port";
    EXPECT_EQ(ports.of({"iser", "iqn.a", 1}).value(), 4);
  }
  auto again = *relative_ports::load(*state);
  EXPECT_EQ(again.of(iscsi("iqn.c")).value(), 5);
  EXPECT_EQ(again.of(iscsi("iqn.b")).value(), 2);
  EXPECT_EQ(again.of(iscsi("iqn.a", 2)).value(), 3);
}

TEST(relative_ports, take_over_the_numbers_of_a_list_by_names_alone) {
  const auto state = state::make_memory_store();
  ASSERT_TRUE(state->save("relative-ports", "7 iqn.a\n3 iqn.b\n"));
  auto ports = *relative_ports::load(*state);
  EXPECT_EQ(ports.of(iscsi("iqn.a", 2)).value(), 7);
  EXPECT_EQ(ports.of(iscsi("iqn.a", 1)).value(), 8);
  auto again = *relative_ports::load(*state);
  EXPECT_EQ(again.of(iscsi("iqn.a", 2)).value(), 7);
  EXPECT_EQ(again.of(iscsi("iqn.b")).value(), 3);
}

TEST(relative_ports, of_two_gateways_over_one_state_differ) {
  const auto state = state::make_memory_store();
  auto one = *relative_ports::load(*state);
  auto two = *relative_ports::load(*state);
  EXPECT_EQ(one.of(iscsi("iqn.a")).value(), 1);
  EXPECT_EQ(two.of(iscsi("iqn.b")).value(), 2);
  EXPECT_EQ(one.of(iscsi("iqn.b")).value(), 2);
  EXPECT_EQ(two.of(iscsi("iqn.a")).value(), 1);
}

TEST(relative_ports, refuse_a_damaged_list) {
  for (const char* text : {"x iqn.a\n", "0 iqn.a\n", "1\n", "1 \n", "70000 iqn.a\n"}) {
    const auto state = state::make_memory_store();
    ASSERT_TRUE(state->save("relative-ports", text));
    EXPECT_FALSE(relative_ports::load(*state)) << text;
  }
}

}  // namespace sluice::daemon
