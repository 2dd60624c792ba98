#include "gateway/daemon/probing.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gateway/daemon/known_types.hpp"

namespace sluice::daemon {
namespace {

namespace fs = std::filesystem;

class probing : public testing::Test {
 protected:
  probing() {
    char pattern[] = "/tmp/sluice-probing-XXXXXX";
    folder_ = mkdtemp(pattern);
    model_.gateway.state_dir = folder_ / "state";
  }
  ~probing() override { fs::remove_all(folder_); }

  std::string file(const std::string& name, std::uint64_t size) {
    const std::string path = folder_ / name;
    std::ofstream(path) << "";
    fs::resize_file(path, size);
    return path;
  }
  config::store_config& add(const std::string& name, const std::string& type, const std::string& path,
                            std::uint64_t size = 0, const std::string& key = "path") {
    config::store_config store;
    store.name = name;
    store.type = type;
    store.settings.set(key, path);
    if (size != 0) store.settings.set(key == "path" ? "size" : "flash.size", size);
    model_.stores.push_back(store);
    return model_.stores.back();
  }

  /// "key: sentence", what is wrong first.
  std::vector<std::string> told() {
    config::diagnostics warnings;
    std::vector<std::string> all;
    for (const auto& each : probe_media(model_, all_stores(), warnings)) all.push_back(each.key + ": " + each.problem);
    for (const auto& each : warnings) all.push_back("warning " + each.key + ": " + each.problem);
    return all;
  }
  std::string only() {
    const auto all = told();
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? std::string() : all.front();
  }

  fs::path folder_;
  config::model model_;
};

TEST_F(probing, says_nothing_of_what_is_as_it_should_be) {
  add("a", "file", file("a", mib), mib);
  add("b", "file", folder_ / "made_by_the_start", mib);
  add("hot", "cache", folder_ / "flash", 64 * mib, "flash.path");
  EXPECT_EQ(told(), std::vector<std::string>());
  EXPECT_FALSE(fs::exists(folder_ / "made_by_the_start")) << "looking changes nothing";
}

TEST_F(probing, names_the_key_of_what_is_not_there) {
  add("a", "file", folder_ / "no" / "a.raw", mib);
  const std::string absent = only();
  EXPECT_TRUE(absent.starts_with("store.a.path: ")) << absent;
  EXPECT_NE(absent.find("in the folder " + (folder_ / "no").string()), std::string::npos) << absent;
  model_.stores.clear();
  add("a", "file", folder_ / "a.raw");  // without a size it is not made
  EXPECT_TRUE(only().starts_with("store.a.path: "));
  model_.stores.clear();
  add("d", "block", folder_ / "disk");
  EXPECT_TRUE(only().starts_with("store.d.path: "));
  model_.stores.clear();
  add("d", "block", file("plain", mib));
  EXPECT_NE(only().find("store.d.path: " + (folder_ / "plain").string() + " is no block device"), std::string::npos);
  model_.stores.clear();
  add("hot", "cache", folder_ / "no" / "flash", 64 * mib, "flash.path");
  EXPECT_TRUE(only().starts_with("store.hot.flash.path: "));
}

TEST_F(probing, tells_a_file_that_others_may_not_write) {
  if (::geteuid() == 0) GTEST_SKIP() << "root writes everywhere";
  const std::string closed = folder_ / "closed";
  fs::create_directory(closed);
  ::chmod(closed.c_str(), 0500);
  add("a", "file", closed + "/a.raw", mib);
  EXPECT_TRUE(only().starts_with("store.a.path: "));
  ::chmod(closed.c_str(), 0700);
}

TEST_F(probing, compares_a_file_with_its_size) {
  add("a", "file", file("a", 2 * mib), mib);
  EXPECT_EQ(only(), "warning store.a.size: the file has 2MiB: it is served as large as it is");
  model_.stores[0].settings.set("size", 4 * mib);
  EXPECT_EQ(only(), "warning store.a.size: the file has 2MiB: it grows at the start");
  model_.stores[0].settings.set("read_only", true);
  EXPECT_EQ(told().front().find("store.a.size: " + (folder_ / "a").string() + " is read-only and smaller"), 0u);
}

TEST_F(probing, finds_one_file_under_two_names) {
  add("a", "file", file("a", mib), mib);
  fs::create_hard_link(folder_ / "a", folder_ / "again");
  fs::create_symlink(folder_ / "a", folder_ / "link");
  add("b", "file", folder_ / "again", mib);
  add("c", "file", folder_ / "link", mib);
  EXPECT_EQ(told(), (std::vector<std::string>{"store.b.path: is the same file as store.a.path",
                                              "store.c.path: is the same file as store.a.path"}));
}

TEST_F(probing, adds_up_what_files_may_take_of_a_file_system) {
  const std::uint64_t half = fs::space(folder_).available / 2 / mib * mib;
  add("a", "file", folder_ / "a", half / 2);
  add("b", "file", folder_ / "b", half / 2);
  EXPECT_EQ(told(), std::vector<std::string>());
  add("c", "file", folder_ / "c", 4 * half);
  const std::string told_of_c = only();
  EXPECT_EQ(told_of_c.find("warning store.c.size: may need more than there is: the file system of " + folder_.string()),
            0u)
      << told_of_c;
}

TEST_F(probing, looks_at_the_state_directory) {
  std::ofstream(folder_ / "state") << "no folder";
  EXPECT_EQ(only(), "gateway.state_dir: " + (folder_ / "state").string() + " is no folder");
}

}  // namespace
}  // namespace sluice::daemon
