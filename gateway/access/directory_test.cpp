#include "gateway/access/directory.hpp"

#include <gtest/gtest.h>

namespace sluice::access {

static directory sample() {
  auto unit = std::make_shared<const unit_handle>(unit_handle{"vm1", {}});
  target_entry closed{
      "closed", false, {{0, unit}, {1, unit}}, {{"iscsi", "iqn.a:closed", {{"127.0.0.1", 3260}}, 1, 1}}, {}};
  closed.initiators["iqn.h:1"] = {{"user", "secret", "", ""}, lun_map{{0, unit}}};
  closed.initiators["iqn.h:2"] = {};
  const target_entry free{"free", false, {}, {{"iscsi", "iqn.a:free", {}, 1, 2}, {"fake", "fake.a", {}, 2, 3}}, {}};
  return {{closed, free}};
}

TEST(directory, admits_only_the_listed_where_there_is_a_list) {
  const directory d = sample();
  const target_entry& closed = *find_port(d, "iqn.a:closed")->target;
  EXPECT_TRUE(check(closed, "iqn.h:1").allowed);
  EXPECT_EQ(check(closed, "iqn.h:1").chap.user, "user");
  EXPECT_FALSE(check(closed, "iqn.h:3").allowed);
  EXPECT_TRUE(check(*find_port(d, "iqn.a:free")->target, "iqn.h:3").allowed);
  EXPECT_FALSE(find_port(d, "iqn.a:nobody").has_value());
}

TEST(directory, gives_an_initiator_its_own_map_or_the_targets) {
  const directory d = sample();
  EXPECT_EQ(luns_of(d.targets[0], "iqn.h:1").size(), 1u);
  EXPECT_EQ(luns_of(d.targets[0], "iqn.h:2").size(), 2u);
}

TEST(directory, shows_only_ports_of_the_fabric_that_admit_the_initiator) {
  const directory d = sample();
  EXPECT_EQ(visible(d, "iscsi", "iqn.h:1").size(), 2u);
  EXPECT_EQ(visible(d, "iscsi", "iqn.h:9").size(), 1u);
  EXPECT_EQ(visible(d, "fake", "iqn.h:9").at(0).port_name, "fake.a");
}

}  // namespace sluice::access
