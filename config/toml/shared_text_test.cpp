#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "config/schema/test_types.hpp"
#include "config/toml/load.hpp"

/// A gateway's own file and what the gateways of its cluster share.
namespace sluice::config {

namespace {

namespace fs = std::filesystem;

class shared_configuration : public testing::Test {
 protected:
  shared_configuration() {
    char pattern[] = "/tmp/sluice-shared-XXXXXX";
    directory_ = mkdtemp(pattern);
  }
  ~shared_configuration() override { fs::remove_all(directory_); }

  std::string write(const std::string& text) {
    const std::string path = directory_ / "own.toml";
    std::ofstream(path) << text;
    return path;
  }
  std::string refusal(const std::string& own, const std::string& shared) {
    const loaded m = load_file(write(own), {shared, "shared"}, known_);
    return m ? "" : m.error().to_string();
  }

  fs::path directory_;
  const known_types known_ = types_for_tests();
  const std::string own_ =
      "[gateway]\nname = 'a'\n[cluster]\npool = 'rbd'\n[[target.main.port]]\nfabric = 'iscsi'\n"
      "name = 'iqn.2026-11.io.sluice:main'\nlisten = ['127.0.0.1:3260']\n";
  const std::string units_ =
      "[store.vm1]\ntype = 'rbd'\npool = 'rbd'\nimage = 'vm1'\nconf = 'ceph.conf'\n[target.main]\n"
      "luns = { 0 = 'vm1' }\n";
};

TEST_F(shared_configuration, is_one_with_the_own_file) {
  const loaded m = load_file(write(own_), {units_}, known_);
  ASSERT_TRUE(m) << m.error().to_string();
  const loaded same = load_file(
      write(units_ + "[gateway]\nname = 'a'\n[cluster]\npool = 'rbd'\n" + own_.substr(own_.find("[[target"))), known_);
  ASSERT_TRUE(same) << same.error().to_string();
  EXPECT_EQ(*m, *same);
  EXPECT_EQ(*find_named(m->stores, "vm1")->settings.text("conf"), directory_ / "ceph.conf");
}

TEST_F(shared_configuration, says_where_both_say_the_same) {
  const std::string path = directory_ / "own.toml";
  EXPECT_EQ(
      refusal(own_ + "[store.vm1]\ntype = 'ram'\nsize = '1MiB'\n", units_),
      path + ":9:8: store.vm1: is in what the gateways of the cluster share as well (line 1 there); one of the two");
  EXPECT_EQ(refusal(own_ + "[target]\nmain.luns = {}\n", units_),
            path +
                ":10:6: target.main.luns: is in what the gateways of the cluster share as well (line 7 there); one of "
                "the two");
}

TEST_F(shared_configuration, leaves_to_each_gateway_what_differs) {
  EXPECT_EQ(refusal(own_, units_ + "[cluster]\npool = 'rbd'\n"),
            "shared:8:2: cluster: is each gateway's own; [cluster] in its file alone");
  EXPECT_EQ(
      refusal(own_, units_ + "[[target.main.port]]\nfabric = 'iscsi'\n"),
      "shared:8:15: target.main.port: is each gateway's own: addresses and groups differ; [[target.main.port]] in "
      "its file");
}

TEST_F(shared_configuration, is_named_where_it_is_wrong) {
  EXPECT_EQ(refusal(own_, "[store.vm1]\ntype = 'ram'\nsise = '1MiB'\n").substr(0, 12), "shared:1:8: ");
  EXPECT_EQ(refusal(own_, "[store\n").substr(0, 9), "shared:1:");
}

TEST_F(shared_configuration, may_put_right_what_the_own_file_lacks) {
  const std::string lacking = own_ + "[unit.vm1]\nstore = 'vm1'\n";
  diagnostics unsure;
  ASSERT_TRUE(load_own_file(write(lacking), known_, unsure));
  ASSERT_EQ(unsure.size(), 1U);
  EXPECT_EQ(unsure.front().key, "unit.vm1.store");
  EXPECT_EQ(refusal(lacking, units_), "");
  EXPECT_NE(refusal(lacking, ""), "");
  unsure.clear();
  EXPECT_FALSE(load_own_file(write("[unit.vm1]\nstore = 'vm1'\n"), known_, unsure)) << "it is in no cluster";
  EXPECT_TRUE(unsure.empty());
}

TEST_F(shared_configuration, has_an_end) {
  const std::string path = directory_ / "shared.toml";
  std::ofstream(path) << std::string(shared_text::max_bytes + 1, '#');
  EXPECT_FALSE(read_shared_file(path));
  EXPECT_FALSE(read_shared_file(directory_ / "absent"));
}

}  // namespace

}  // namespace sluice::config
