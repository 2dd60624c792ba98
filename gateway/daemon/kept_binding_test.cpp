#include "gateway/daemon/kept_binding.hpp"

#include "gateway/daemon/agreed_fixture.hpp"

/// What the state knows of the flash over a medium that keeps no notes.
namespace sluice::daemon {
namespace {

config::store_config disk(const std::string& name, const std::string& path) {
  config::store_config made{name, "block", {}, "", {}};
  made.settings.set("path", path);
  return made;
}

class kept_binding_test : public agreed_fixture {
 protected:
  kept_binding book(const config::store_config& of) { return {authority(), core(), *state_, of}; }
  std::uint64_t read(const config::store_config& of) { return *book(of).read(); }
  result<void> write(const config::store_config& of, std::uint64_t flash) { return book(of).write(flash); }
};

TEST_F(kept_binding_test, is_of_one_medium_and_survives_a_start) {
  EXPECT_EQ(read(disk("a", "/dev/a")), 0U);
  ASSERT_TRUE(write(disk("a", "/dev/a"), 7));
  start();
  EXPECT_EQ(read(disk("a", "/dev/a")), 7U);
  EXPECT_EQ(read(disk("b", "/dev/a")), 0U) << "another store";
  EXPECT_EQ(read(disk("a", "/dev/b")), 0U) << "another device by that name";
  EXPECT_EQ(read(disk("a", "/dev/ab")), 0U);
  EXPECT_EQ(read(disk("a", "")), 0U);
  ASSERT_TRUE(write(disk("a", "/dev/a"), 0));
  EXPECT_EQ(read(disk("a", "/dev/a")), 0U);
}

TEST_F(kept_binding_test, stays_when_the_medium_is_used_in_another_way) {
  config::store_config grown = disk("a", "/dev/a");
  ASSERT_TRUE(write(grown, 7));
  grown.settings.set("size", std::uint64_t{1} << 30);
  grown.settings.set("direct", true);
  EXPECT_EQ(read(grown), 7U);
}

TEST_F(kept_binding_test, is_agreed_by_compare_and_set) {
  kept_binding one = book(disk("a", "/dev/a")), two = book(disk("a", "/dev/a"));
  ASSERT_TRUE(one.write(7));
  ASSERT_TRUE(two.write(8));
  EXPECT_EQ(*one.read(), 8U);
  const auto now = agreed_record(authority(), core(), "witness/a").read();
  ASSERT_TRUE(now);
  const auto late = agreed_record(authority(), core(), "witness/a")
                        .propose({.expected = now->epoch - 1, .content = "9 block path=/dev/a", .lasts = true});
  ASSERT_TRUE(late);
  EXPECT_EQ(late->what, state::verdict::kind::conflict) << "of a generation that is over";
  EXPECT_EQ(*two.read(), 8U);
}

TEST_F(kept_binding_test, of_the_former_format_is_taken_over) {
  ASSERT_TRUE(state_->save("flash/a", "7 block path=/dev/a"));
  EXPECT_EQ(read(disk("a", "/dev/a")), 7U);
  ASSERT_TRUE(write(disk("a", "/dev/a"), 0));
  EXPECT_EQ(*state_->load("flash/a"), std::nullopt);
  EXPECT_EQ(read(disk("a", "/dev/a")), 0U);
}

TEST_F(kept_binding_test, that_somebody_spoilt_names_no_flash) {
  ASSERT_TRUE(state_->save("flash/a", "seven block path=/dev/a"));
  EXPECT_EQ(read(disk("a", "/dev/a")), 0U);
  ASSERT_TRUE(state_->save("witness/b", "no frame 7 block path=/dev/b"));
  EXPECT_EQ(read(disk("b", "/dev/b")), 0U);
  ASSERT_TRUE(write(disk("b", "/dev/b"), 7));
  EXPECT_EQ(read(disk("b", "/dev/b")), 7U);
}

}  // namespace
}  // namespace sluice::daemon
