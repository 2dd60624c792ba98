#include "gateway/daemon/kept_witness.hpp"

#include <gtest/gtest.h>

/// What the state knows of the flash over a medium that keeps no notes.
namespace sluice::daemon {
namespace {

config::store_config disk(const std::string& name, const std::string& path) {
  config::store_config made{name, "block", {}, "", {}};
  made.settings.set("path", path);
  return made;
}

class kept_witness_test : public testing::Test {
 protected:
  std::uint64_t read(const config::store_config& of) { return *kept_witness(*state_, of).read(); }
  std::unique_ptr<state::state_store> state_ = state::make_memory_store();
};

TEST_F(kept_witness_test, is_of_one_medium) {
  EXPECT_EQ(read(disk("a", "/dev/a")), 0U);
  ASSERT_TRUE(kept_witness(*state_, disk("a", "/dev/a")).write(7));
  EXPECT_EQ(read(disk("a", "/dev/a")), 7U);
  EXPECT_EQ(read(disk("b", "/dev/a")), 0U) << "another store";
  EXPECT_EQ(read(disk("a", "/dev/b")), 0U) << "another device by that name";
  EXPECT_EQ(read(disk("a", "/dev/ab")), 0U);
  EXPECT_EQ(read(disk("a", "")), 0U);
  ASSERT_TRUE(kept_witness(*state_, disk("a", "/dev/a")).write(0));
  EXPECT_EQ(read(disk("a", "/dev/a")), 0U);
}

TEST_F(kept_witness_test, stays_when_the_medium_is_used_in_another_way) {
  config::store_config grown = disk("a", "/dev/a");
  ASSERT_TRUE(kept_witness(*state_, grown).write(7));
  grown.settings.set("size", std::uint64_t{1} << 30);
  grown.settings.set("direct", true);
  EXPECT_EQ(read(grown), 7U);
}

TEST_F(kept_witness_test, that_somebody_spoilt_names_no_flash) {
  ASSERT_TRUE(state_->save("flash/a", "seven block path=/dev/a"));
  EXPECT_EQ(read(disk("a", "/dev/a")), 0U);
}

}  // namespace
}  // namespace sluice::daemon
