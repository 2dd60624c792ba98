#include "fabrics/iscsi/port_sessions.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::iscsi {
namespace {

using port::loss_reason;

struct fixture {
  port_sessions sessions;
  std::vector<int> closed;
  std::uint64_t join(int name, std::uint32_t portal) {
    return sessions.join(portal, [this, name](loss_reason) { closed.push_back(name); });
  }
};

TEST(port_sessions, end_those_of_a_portal) {
  fixture f;
  f.join(1, 7);
  f.join(2, 8);
  f.join(3, 7);
  EXPECT_EQ(f.sessions.count_at(7), 2u);
  f.sessions.close_at(7, loss_reason::port_removed);
  EXPECT_EQ(f.closed, (std::vector{1, 3}));
}

TEST(port_sessions, stop_when_the_last_has_left_and_take_nobody_more) {
  fixture f;
  const std::uint64_t first = f.join(1, 7), second = f.join(2, 7);
  bool stopped = false;
  f.sessions.stop(loss_reason::shutdown, [&] { stopped = true; });
  EXPECT_EQ(f.closed, (std::vector{1, 2}));
  EXPECT_EQ(f.join(3, 7), 0u);
  f.sessions.leave(second);
  EXPECT_FALSE(stopped);
  f.sessions.leave(first);
  EXPECT_TRUE(stopped);
}

TEST(port_sessions, stop_at_once_when_nobody_is_there) {
  fixture f;
  bool stopped = false;
  f.sessions.stop(loss_reason::shutdown, [&] { stopped = true; });
  EXPECT_TRUE(stopped);
}

TEST(port_sessions, may_be_left_from_within_a_close) {
  port_sessions sessions;
  std::uint64_t member = 0;
  bool stopped = false;
  member = sessions.join(1, [&](loss_reason) { sessions.leave(member); });
  sessions.stop(loss_reason::kicked, [&] { stopped = true; });
  EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace sluice::iscsi
