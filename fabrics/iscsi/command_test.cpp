#include "fabrics/iscsi/command.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

#include "fabrics/iscsi/command_window.hpp"
#include "fabrics/iscsi/session_handles.hpp"

namespace sluice::iscsi {
namespace {

RC_GTEST_PROP(commands, find_what_was_added_and_nothing_else,
              (const std::vector<std::pair<std::uint8_t, bool>>& steps)) {
  commands table(4);
  std::map<std::uint32_t, command*> model;
  for (const auto& [small, add] : steps) {
    const std::uint32_t tag = small * 0x10001u;
    if (add && !model.contains(tag)) model[tag] = &table.add(tag);
    if (!add && model.contains(tag)) {
      table.remove(*model[tag]);
      model.erase(tag);
    }
    RC_ASSERT(table.live().size() == model.size());
    for (std::uint32_t t = 0; t < 256; ++t) {
      const auto found = model.find(t * 0x10001u);
      RC_ASSERT(table.find(t * 0x10001u) == (found == model.end() ? nullptr : found->second));
    }
  }
}

TEST(command_window, moves_across_the_wrap) {
  command_window w;
  w.start(0xfffffffe, 4);
  using enum command_window::verdict;
  EXPECT_EQ(w.look(0xfffffffd), outside);
  EXPECT_EQ(w.look(0xfffffffe), next);
  EXPECT_EQ(w.look(1), ahead);
  EXPECT_EQ(w.look(2), outside);
  w.take();
  w.take();
  EXPECT_EQ(w.exp_cmd_sn(), 0u);
  EXPECT_EQ(w.look(2), outside);
  w.complete();
  EXPECT_EQ(w.look(2), ahead);
}

TEST(command_window, closes_when_everything_is_in_use) {
  command_window w;
  w.start(10, 2);
  w.take();
  w.take();
  EXPECT_EQ(w.look(12), command_window::verdict::outside);
  w.complete();
  EXPECT_EQ(w.look(12), command_window::verdict::next);
}

TEST(session_handles, are_never_zero_and_never_shared) {
  session_handles handles;
  std::vector<bool> seen(65536);
  for (int i = 0; i < 65535; ++i) {
    const std::uint16_t tsih = handles.allocate();
    ASSERT_NE(tsih, 0);
    ASSERT_FALSE(seen[tsih]);
    seen[tsih] = true;
  }
  EXPECT_EQ(handles.allocate(), 0);
  handles.release(77);
  EXPECT_FALSE(handles.exists(77));
  EXPECT_EQ(handles.allocate(), 77);
}

}  // namespace
}  // namespace sluice::iscsi
