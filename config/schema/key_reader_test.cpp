#include "config/schema/key_reader.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace sluice::config {

namespace {

TEST(key_reader, a_path_is_absolute_and_in_its_normal_form) {
  for (const char* path : {"/",      "/a",    "/a/b.raw", "/a/b/", "/a/.",       "/a/..", "/a/../b", "/a/./b",
                           "/a/.b",  "/a/b.", "/a/..b",   "//a",   "//",         "/a//b", "/a/b//",  "a",
                           "a/../b", ".",     "..",       "./a",   "../../../a", "/..",   "/."})
    EXPECT_EQ(absolute_path(path, "/etc/sluice"), (std::filesystem::path("/etc/sluice") / path).lexically_normal())
        << path;
}

TEST(key_reader, only_a_whole_choice_is_one) {
  const std::vector<key> keys{{.name = "mode", .type = kind::choice, .help = "how", .choices = "one|three|two"},
                              {.name = "size", .type = kind::choice, .help = "of it", .choices = "512|4096"}};
  const auto reads = [&](const char* name, auto value) {
    diagnostics wrong;
    read_context context{"/", wrong};
    const values read = read_keys(context, {{{name, {1, 1}, {{1, 5}, value}}}}, keys, "", {1, 1});
    EXPECT_EQ(wrong.empty(), read.has(name));
    return wrong.empty();
  };
  for (const char* good : {"one", "two", "three"}) EXPECT_TRUE(reads("mode", std::string(good))) << good;
  for (const char* bad : {"", "on", "one|three", "|", "ne", "twos", "One"})
    EXPECT_FALSE(reads("mode", std::string(bad))) << bad;
  EXPECT_FALSE(reads("mode", std::int64_t{1}));
  EXPECT_TRUE(reads("size", std::int64_t{512}));
  EXPECT_TRUE(reads("size", std::int64_t{4096}));
  EXPECT_FALSE(reads("size", std::int64_t{51}));
  EXPECT_FALSE(reads("size", std::string("512")));
}

}  // namespace

}  // namespace sluice::config
