#include "gateway/daemon/free_space.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace sluice::daemon {
namespace {

TEST(free_space, places_are_the_state_directory_and_what_stores_lie_in) {
  config::model m;
  m.gateway.state_dir = "/var/lib/sluice";
  config::store_config file, hot, image;
  file.name = "images";
  file.settings.set("path", std::string("/srv/images.raw"));
  file.settings.set("size", std::uint64_t{1} << 30);
  hot.name = "hot";
  hot.settings.set("flash.path", std::string("/srv/flash"));
  image.name = "vm1";
  image.settings.set("conf", std::string("/etc/ceph/ceph.conf"));  // which is only read
  m.stores = {file, hot, image};
  EXPECT_EQ(places_of(m), (std::vector<place>{{"gateway.state_dir", "/var/lib/sluice"},
                                              {"store.images.path", "/srv/images.raw"},
                                              {"store.hot.flash.path", "/srv/flash"}}));
}

TEST(free_space, tells_of_what_is_there_and_follows_other_places_at_once) {
  char pattern[] = "/tmp/sluice-space-XXXXXX";
  const std::filesystem::path folder = mkdtemp(pattern);
  std::ofstream(folder / "file") << "content";
  free_space watch;
  const auto told = [&watch](const std::vector<place>& at) {
    auto found = watch.look(at);
    for (int i = 0; i < 100 && found.empty(); ++i) found = watch.look(at);  // a busy machine
    return found;
  };
  const auto found = told({{"a", folder / "file"}, {"b", folder / "absent"}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].of, "a");
  EXPECT_GT(found[0].size_bytes, 0u);
  EXPECT_LE(found[0].free_bytes, found[0].size_bytes);
  const auto other = told({{"c", folder}});
  ASSERT_EQ(other.size(), 1u);
  EXPECT_EQ(other[0].of, "c");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::daemon
