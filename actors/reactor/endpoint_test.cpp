#include <gtest/gtest.h>

#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

TEST(endpoint, parses_both_families) {
  EXPECT_EQ(endpoint::parse("127.0.0.1:3260")->to_string(), "127.0.0.1:3260");
  EXPECT_EQ(endpoint::parse("[::1]:3260")->to_string(), "[::1]:3260");
  EXPECT_TRUE(endpoint::parse("[::1]:0")->is_loopback());
  EXPECT_FALSE(endpoint::parse("10.0.0.1:1")->is_loopback());
}

TEST(endpoint, refuses_what_is_none) {
  for (const char* text :
       {"", "127.0.0.1", "host:1", "127.0.0.1:65536", "::1:3260", "[::1]", "127.0.0.1:12x", "[::g]:1", "127.0.0.1:"})
    EXPECT_FALSE(endpoint::parse(text)) << text;
}

}  // namespace sluice::reactor
