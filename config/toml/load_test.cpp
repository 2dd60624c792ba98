#include "config/toml/load.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "config/schema/test_types.hpp"

namespace sluice::config {

namespace {

namespace fs = std::filesystem;

/// A directory that goes with the test.
class load : public testing::Test {
 protected:
  load() {
    char pattern[] = "/tmp/sluice-load-XXXXXX";
    directory_ = mkdtemp(pattern);
  }
  ~load() override { fs::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = directory_ / name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }

  fs::path directory_;
  const known_types known_ = types_for_tests();
};

TEST_F(load, means_the_same_whatever_the_order) {
  const auto a =
      load_text("[store.a]\ntype='ram'\nsize='1MiB'\n[store.b]\ntype='ram'\nsize='2MiB'\n", "f", "/", known_);
  const auto b =
      load_text("[store.b]\nsize='2MiB'\ntype='ram'\n\n[store.a]\ntype='ram'\nsize='1024KiB'\n", "f", "/", known_);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(*a, *b);
}

TEST_F(load, takes_an_empty_file_and_the_hosts_name) {
  const loaded m = load_file(write("empty.toml", ""), known_);
  ASSERT_TRUE(m);
  EXPECT_FALSE(m->gateway.name.empty());
  EXPECT_EQ(m->gateway.control, "/run/sluice/control.sock");
}

TEST_F(load, says_what_it_cannot_read) {
  const loaded m = load_file("/nonexistent/gw.toml", known_);
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().to_string().rfind("/nonexistent/gw.toml:1:1: file: ", 0), 0u) << m.error().to_string();
  EXPECT_FALSE(load_file(directory_, known_));
}

TEST_F(load, tells_at_the_key_what_does_not_go_together) {
  known_types known = known_;
  std::string sentence = "size: is odd";
  unsigned asked = 0;
  known.examine = [&](const std::string& type, const settings& of) -> result<void> {
    ++asked;
    EXPECT_EQ(type, "ram");
    EXPECT_EQ(of.number("size", 0), 1U << 20);
    return fail(errc::invalid_argument, sentence);
  };
  loaded m = load_text("[store.a]\ntype='ram'\nsize='1MiB'\n", "f", "/", known);
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().to_string(), "f:3:6: store.a.size: is odd");
  sentence = "mode: needs more";
  m = load_text("[store.a]\ntype='ram'\nsize='1MiB'\n", "f", "/", known);
  ASSERT_FALSE(m);
  EXPECT_EQ(m.error().to_string(), "f:1:8: store.a: mode: needs more");
  EXPECT_FALSE(load_text("[store.a]\ntype='ram'\nsize=3\n", "f", "/", known));
  EXPECT_EQ(asked, 2U) << "not when a key is wrong by itself";
}

TEST_F(load, refuses_secrets_that_others_see) {
  for (mode_t mode : {0644u, 0640u, 0604u, 0620u})
    EXPECT_EQ(read_secret(write("s", "a secret of the host\n", mode)).error().code, errc::permission) << mode;
  for (const char* good : {"a secret of the host", "a secret of the host\n", "a secret of the host\r\n\r\n"})
    EXPECT_EQ(read_secret(write("s", good)).value(), "a secret of the host");
  const auto two = read_secret(write("s", "a secret of the host\r\nnot this\n"));
  ASSERT_FALSE(two) << "which of the two is it?";
  EXPECT_NE(two.error().message.find("more than one line"), std::string::npos);
  EXPECT_EQ(read_secret(write("s", "too short\n")).error().code, errc::invalid_argument);
  EXPECT_EQ(read_secret(write("s", std::string(256, 'x'))).error().code, errc::invalid_argument);
  EXPECT_EQ(read_secret(write("s", std::string(5000, 'x'))).error().code, errc::invalid_argument);
  EXPECT_EQ(read_secret(directory_ / "absent").error().code, errc::not_found);
  EXPECT_FALSE(read_secret(directory_));
  ASSERT_EQ(mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  EXPECT_FALSE(read_secret(directory_ / "fifo"));
}

}  // namespace

}  // namespace sluice::config
