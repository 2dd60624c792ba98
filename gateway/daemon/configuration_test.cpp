#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/schema/key_pages.hpp"
#include "config/toml/load.hpp"
#include "gateway/daemon/known_types.hpp"

/// Whole files, with all stores and fabrics of the program.
namespace sluice::daemon {

namespace {

namespace fs = std::filesystem;
using config::find_named;
using config::loaded;

std::string slurp(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// A directory that goes with the test.
class configuration : public testing::Test {
 protected:
  configuration() {
    char pattern[] = "/tmp/sluice-configuration-XXXXXX";
    directory_ = mkdtemp(pattern);
  }
  ~configuration() override { fs::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const std::string path = directory_ / name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }

  fs::path directory_;
  const config::known_types known_ = known_types();
};

TEST_F(configuration, understands_the_file_of_the_operators_contract) {
  write("host1.secret", "twelve octets\n");
  write("gw.secret", "another dozen");
  const loaded m = config::load_file(write("gw.toml", slurp("contract.toml")), known_);
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
  const config::target_config& target = m->targets[0];
  ASSERT_EQ(target.ports.size(), 1u);
  EXPECT_EQ(target.ports[0].settings.list("listen").at(1), "[::1]:3260");
  ASSERT_EQ(target.access.size(), 1u);
  EXPECT_EQ(*target.access[0].settings.text("chap.secret_file"), directory_ / "host1.secret");
  EXPECT_EQ(target.access[0].luns->size(), 1u);
}

/// Each bad/X.toml gives exactly bad/X.txt. SLUICE_GOLDEN=write in the environment rewrites the expectations.
TEST_F(configuration, tells_every_error_of_the_bad_files) {
  const bool rewrite = std::getenv("SLUICE_GOLDEN") != nullptr;
  unsigned files = 0;
  for (const auto& entry : fs::directory_iterator("bad")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    const std::string name = entry.path().filename().string();
    const loaded m = config::load_text(slurp(entry.path()), name, "/etc/sluice", known_);
    ASSERT_FALSE(m) << name;
    fs::path expected = entry.path();
    expected.replace_extension(".txt");
    if (rewrite) std::ofstream(expected) << m.error().to_string() << '\n';
    EXPECT_EQ(m.error().to_string() + "\n", slurp(expected)) << name;
  }
  EXPECT_GE(files, 5u);
}

TEST_F(configuration, checks_the_secrets_with_the_file) {
  write("host1.secret", "twelve octets\n", 0644);
  const loaded m = config::load_file(write("gw.toml", slurp("contract.toml")), known_);
  ASSERT_FALSE(m);
  ASSERT_EQ(m.error().why.size(), 2u) << m.error().to_string();
  EXPECT_EQ(m.error().why[0].key, "target.main.access.\"iqn.1994-05.com.example:host1\".chap.secret_file");
  EXPECT_EQ(m.error().why[0].at.line, 52u);
  EXPECT_NE(m.error().why[0].problem.find("chmod 600"), std::string::npos);

  write("host1.secret", "one secret for all\n");
  write("gw.secret", "one secret for all\n");
  const loaded same = config::load_file(directory_ / "gw.toml", known_);
  ASSERT_FALSE(same);
  EXPECT_EQ(same.error().why.size(), 1u);
  EXPECT_NE(same.error().to_string().find("holds the secret of chap.secret_file"), std::string::npos);
}

TEST_F(configuration, examples_are_good) {
  int secrets = 0;
  for (const char* name : {"host1.secret", "host2.secret", "gw-a.secret"}) {
    std::ofstream(directory_ / name) << "secret number " << secrets++ << '\n';
    chmod((directory_ / name).c_str(), 0600);
  }
  unsigned files = 0;
  for (const auto& entry : fs::directory_iterator("../../examples")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    fs::copy_file(entry.path(), directory_ / entry.path().filename());
    const loaded m = config::load_file(directory_ / entry.path().filename(), known_);
    EXPECT_TRUE(m) << m.error().to_string();
  }
  EXPECT_GE(files, 3u);
}

TEST_F(configuration, examples_of_a_cluster_are_one) {
  const auto shared = config::read_shared_file("../../examples/cluster-shared.toml");
  ASSERT_TRUE(shared);
  const loaded m = config::load_file("../../examples/cluster-own.toml", *shared, known_);
  ASSERT_TRUE(m) << m.error().to_string();
  EXPECT_EQ(m->units.size(), 2U);
  ASSERT_EQ(m->targets.size(), 1U);
  EXPECT_EQ(m->targets[0].ports.size(), 1U);
  EXPECT_EQ(m->targets[0].luns.size(), 2U);
}

/// What stands between the marks of docs/*.md; SLUICE_GOLDEN=write in the environment rewrites it.
TEST_F(configuration, pages_have_the_keys_of_the_program) {
  unsigned pages = 0;
  for (const auto& entry : fs::directory_iterator("../../docs")) {
    if (entry.path().extension() != ".md") continue;
    const auto now = config::with_keys(slurp(entry.path()), known_);
    ASSERT_TRUE(now) << entry.path() << ": " << now.error().message;
    if (now->find("<!-- keys") != std::string::npos) ++pages;
    if (std::getenv("SLUICE_GOLDEN") != nullptr) std::ofstream(entry.path()) << *now;
    EXPECT_EQ(slurp(entry.path()), *now) << entry.path();
  }
  EXPECT_GE(pages, 3U);
}

/// A table would end at such a bar, and a row that says nothing is none.
TEST_F(configuration, every_key_says_what_it_does) {
  for (const config::key_table& table : config::key_tables(known_))
    for (const config::key& k : *table.keys) {
      EXPECT_FALSE(k.help.empty()) << table.name << ": " << k.name;
      EXPECT_EQ((k.help + k.otherwise).find('|'), std::string::npos) << table.name << ": " << k.name;
      EXPECT_FALSE(k.type == config::kind::flag && config::default_of(k) == "none") << table.name << ": " << k.name;
    }
}

}  // namespace

}  // namespace sluice::daemon
