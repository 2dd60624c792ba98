#include "config/toml/load.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/schema/test_types.hpp"

namespace sluice::config {

namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

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

TEST_F(load, understands_the_file_of_the_operators_contract) {
  write("host1.secret", "twelve octets\n");
  write("gw.secret", "another dozen");
  const loaded m = load_file(write("gw.toml", slurp("contract.toml")), known_);
  ASSERT_TRUE(m) << m.error().to_string();

  EXPECT_EQ(m->gateway.name, "gw-a");
  EXPECT_EQ(m->gateway.reactor_count, 2u);
  EXPECT_EQ(m->gateway.http->to_string(), "127.0.0.1:9840");
  ASSERT_EQ(m->stores.size(), 5u);
  EXPECT_EQ(*find_named(m->stores, "images")->settings.text("path"), directory_ / "images.raw");
  EXPECT_EQ(find_named(m->stores, "images")->settings.number("size", 0), 64ull << 30);
  EXPECT_EQ(find_named(m->stores, "vm1-hot")->over, "vm1");
  EXPECT_EQ(find_named(m->stores, "vm1-hot")->settings.number("flash.size", 0), 200ull << 30);

  // "vm1" is a unit and a store: the LUN map means the unit; "scratch" is a store only and becomes a unit.
  ASSERT_EQ(m->units.size(), 2u);
  EXPECT_EQ(find_named(m->units, "vm1")->store, "vm1-hot");
  EXPECT_TRUE(find_named(m->units, "scratch")->implied);

  ASSERT_EQ(m->targets.size(), 1u);
  const target_config& target = m->targets[0];
  ASSERT_EQ(target.ports.size(), 1u);
  EXPECT_EQ(target.ports[0].listen[1].to_string(), "[::1]:3260");
  ASSERT_EQ(target.access.size(), 1u);
  EXPECT_EQ(target.access[0].chap->secret_file, directory_ / "host1.secret");
  EXPECT_EQ(target.access[0].luns->size(), 1u);
}

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

/// Each bad/X.toml gives exactly bad/X.txt. SLUICE_GOLDEN=write in the environment rewrites the expectations.
TEST_F(load, tells_every_error_of_the_bad_files) {
  const bool rewrite = std::getenv("SLUICE_GOLDEN") != nullptr;
  unsigned files = 0;
  for (const auto& entry : fs::directory_iterator("bad")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    const std::string name = entry.path().filename().string();
    const loaded m = load_text(slurp(entry.path()), name, "/etc/sluice", known_);
    ASSERT_FALSE(m) << name;
    fs::path expected = entry.path();
    expected.replace_extension(".txt");
    if (rewrite) std::ofstream(expected) << m.error().to_string() << '\n';
    EXPECT_EQ(m.error().to_string() + "\n", slurp(expected)) << name;
  }
  EXPECT_GE(files, 5u);
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
  EXPECT_EQ(read_secret(write("s", "a secret of the host\r\nnot this\n")).value(), "a secret of the host");
  EXPECT_EQ(read_secret(write("s", "too short\n")).error().code, errc::invalid_argument);
  EXPECT_EQ(read_secret(write("s", std::string(256, 'x'))).error().code, errc::invalid_argument);
  EXPECT_EQ(read_secret(write("s", std::string(5000, 'x'))).error().code, errc::invalid_argument);
  EXPECT_EQ(read_secret(directory_ / "absent").error().code, errc::not_found);
  EXPECT_FALSE(read_secret(directory_));
  ASSERT_EQ(mkfifo((directory_ / "fifo").c_str(), 0600), 0);
  EXPECT_FALSE(read_secret(directory_ / "fifo"));
}

TEST_F(load, checks_the_secrets_with_the_file) {
  write("host1.secret", "twelve octets\n", 0644);
  const loaded m = load_file(write("gw.toml", slurp("contract.toml")), known_);
  ASSERT_FALSE(m);
  ASSERT_EQ(m.error().why.size(), 2u) << m.error().to_string();
  EXPECT_EQ(m.error().why[0].key, "target.main.access.\"iqn.1994-05.com.example:host1\".chap.secret_file");
  EXPECT_EQ(m.error().why[0].at.line, 52u);
  EXPECT_NE(m.error().why[0].problem.find("chmod 600"), std::string::npos);

  write("host1.secret", "one secret for all\n");
  write("gw.secret", "one secret for all\n");
  const loaded same = load_file(directory_ / "gw.toml", known_);
  ASSERT_FALSE(same);
  EXPECT_EQ(same.error().why.size(), 1u);
  EXPECT_NE(same.error().to_string().find("holds the secret of chap.secret_file"), std::string::npos);
}

}  // namespace

}  // namespace sluice::config
