#include "config/schema/names.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "config/schema/address.hpp"
#include "config/schema/diagnostic.hpp"

namespace sluice::config {

namespace {

TEST(plain_name, holds_no_surprise) {
  for (const char* good : {"a", "vm1-hot", "A.b_c", "0"}) EXPECT_TRUE(is_plain_name(good)) << good;
  for (const char* bad : {"", ".", "-a", "a b", "a/b", "ä", "_a"}) EXPECT_FALSE(is_plain_name(bad)) << bad;
  EXPECT_FALSE(is_plain_name(std::string(64, 'a')));
}

TEST(listen_address, takes_literals_only) {
  EXPECT_EQ(parse_listen_address("127.0.0.1:3260")->to_string(), "127.0.0.1:3260");
  EXPECT_EQ(parse_listen_address("[0:0::1]:0")->to_string(), "[::1]:0");
  EXPECT_EQ(parse_listen_address("[fe80:0::1%eth0.5]:3260")->to_string(), "[fe80::1%eth0.5]:3260");
  for (const char* bad : {"", ":", "127.0.0.1", "127.0.0.1:", "localhost:3260", "127.0.0.1:65536", "127.0.0.1:-1",
                          "127.1:3260", "::1:3260", "[::1]", "[127.0.0.1]:1", "127.0.0.1:3260 ", "[::1]:3260x",
                          "[fe80::1%]:3260", "[fe80::1%a b]:3260", "127.0.0.1%lo:3260"})
    EXPECT_FALSE(parse_listen_address(bad)) << bad;
}

TEST(listen_address, knows_loopback_and_collisions) {
  const auto address = [](const char* text) { return *parse_listen_address(text); };
  EXPECT_TRUE(address("127.1.2.3:1").is_loopback());
  EXPECT_TRUE(address("[::1]:1").is_loopback());
  for (const char* wide : {"0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:127.0.0.1]:1"})
    EXPECT_FALSE(address(wide).is_loopback()) << wide;
  EXPECT_TRUE(address("127.0.0.1:1").collides(address("0.0.0.0:1")));
  EXPECT_TRUE(address("[::]:1").collides(address("[::1]:1")));
  EXPECT_FALSE(address("127.0.0.1:1").collides(address("127.0.0.2:1")));
  EXPECT_FALSE(address("127.0.0.1:1").collides(address("[::1]:1")));
  EXPECT_FALSE(address("127.0.0.1:0").collides(address("127.0.0.1:0")));
}

RC_GTEST_PROP(listen_address, reads_back_what_it_wrote, (std::uint32_t host, std::uint16_t port)) {
  const std::string text = std::to_string(host >> 24) + "." + std::to_string(host >> 16 & 255) + "." +
                           std::to_string(host >> 8 & 255) + "." + std::to_string(host & 255) + ":" +
                           std::to_string(port);
  RC_ASSERT(parse_listen_address(text)->to_string() == text);
}

TEST(diagnostic, is_one_line_that_a_terminal_does_not_obey) {
  EXPECT_EQ(format(diagnostic{{3, 7}, "a.b", "is\n\x1b[31m odd", "c"}, "f.toml"),
            "f.toml:3:7: a.b: is\\x0a\\x1b[31m odd; c");
}

TEST(diagnostic, guesses_what_was_meant) {
  EXPECT_EQ(closest("naem", {"state_dir", "name"}), "name");
  EXPECT_EQ(closest("wirte-back", {"write-through", "write-back"}), "write-back");
  EXPECT_EQ(closest("zzz", {"name", "size"}), "");
  EXPECT_EQ(closest(std::string(100000, 'x'), {"name"}), "");
  EXPECT_EQ(closest("STATE-DIR", {"name", "state_dir"}), "state_dir") << "the same word";
  EXPECT_EQ(did_you_mean("naem", {"name"}), ", did you mean \"name\"?");
  EXPECT_EQ(did_you_mean("zzz", {"name"}), "");
  EXPECT_EQ(one_of({"a", "b", "c"}), "a, b or c");
  const std::string many = one_of(std::vector<std::string>(20000, "x"));
  EXPECT_TRUE(many.ends_with("x, x or one of 19900 more"));
}

}  // namespace

}  // namespace sluice::config
