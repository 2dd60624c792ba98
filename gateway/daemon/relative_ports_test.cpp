#include "gateway/daemon/relative_ports.hpp"

#include <gtest/gtest.h>

namespace sluice::daemon {

TEST(relative_ports, keep_their_numbers_whatever_comes_and_goes) {
  const auto state = state::make_memory_store();
  {
    auto ports = *relative_ports::load(*state);
    EXPECT_EQ(ports.of("iqn.a").value(), 1);
    EXPECT_EQ(ports.of("iqn.b").value(), 2);
    EXPECT_EQ(ports.of("iqn.a").value(), 1);
  }
  auto again = *relative_ports::load(*state);
  EXPECT_EQ(again.of("iqn.c").value(), 3);
  EXPECT_EQ(again.of("iqn.b").value(), 2);
}

TEST(relative_ports, refuse_a_damaged_list) {
  for (const char* text : {"x iqn.a\n", "0 iqn.a\n", "1\n", "1 \n", "70000 iqn.a\n"}) {
    const auto state = state::make_memory_store();
    ASSERT_TRUE(state->save("relative-ports", text));
    EXPECT_FALSE(relative_ports::load(*state)) << text;
  }
}

}  // namespace sluice::daemon
