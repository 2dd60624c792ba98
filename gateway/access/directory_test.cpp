#include "gateway/access/directory.hpp"

#include <gtest/gtest.h>

namespace sluice::access {

struct secret final : port::credentials {
  bool equals(const credentials& other) const override { return this == &other; }
};

static port_entry port_of(const char* fabric, const char* name, std::uint16_t relative_id, std::uint16_t group = 1) {
  port_entry made;
  made.descriptor.id = {fabric, name, group};
  made.relative_id = relative_id;
  return made;
}

static directory sample() {
  auto unit = std::make_shared<const unit_handle>(unit_handle{"vm1", {}});
  target_entry closed{
      "closed",
      false,
      {{0, unit}, {1, unit}},
      {port_of("iscsi", "iqn.a:closed", 1), port_of("iscsi", "iqn.a:closed", 2, 2), port_of("usb", "usb0", 3)},
      {}};
  closed.ports.back().descriptor.names_initiators = false;
  closed.initiators["iqn.h:1"] = {{{"iscsi", std::make_shared<secret>()}}, lun_map{{0, unit}}};
  closed.initiators["iqn.h:2"] = {};
  return make_directory({closed, {"free", false, {}, {port_of("iscsi", "iqn.a:free", 4)}, {}}});
}

static found_port at(const directory& d, const char* fabric, const char* name, std::uint16_t group = 1) {
  return *find_port(d, {fabric, name, group});
}

TEST(directory, tells_ports_of_one_name_apart_by_their_groups) {
  const directory d = sample();
  EXPECT_EQ(at(d, "iscsi", "iqn.a:closed", 1).port->relative_id, 1);
  EXPECT_EQ(at(d, "iscsi", "iqn.a:closed", 2).port->relative_id, 2);
  EXPECT_FALSE(find_port(d, {"iscsi", "iqn.a:closed", 3}));
  EXPECT_FALSE(find_port(d, {"srp", "iqn.a:closed", 1}));
}

TEST(directory, admits_only_the_listed_where_there_is_a_list) {
  const directory d = sample();
  const found_port closed = at(d, "iscsi", "iqn.a:closed");
  EXPECT_TRUE(check(closed, "iqn.h:1").allowed);
  EXPECT_NE(check(closed, "iqn.h:1").credentials, nullptr);
  EXPECT_EQ(check(closed, "iqn.h:2").credentials, nullptr);
  EXPECT_FALSE(check(closed, "iqn.h:3").allowed);
  EXPECT_TRUE(check(at(d, "iscsi", "iqn.a:free"), "iqn.h:3").allowed);
}

TEST(directory, gives_an_initiator_its_own_map_or_the_targets) {
  const directory d = sample();
  EXPECT_EQ(luns_of(at(d, "iscsi", "iqn.a:closed"), "iqn.h:1").size(), 1u);
  EXPECT_EQ(luns_of(at(d, "iscsi", "iqn.a:closed"), "iqn.h:2").size(), 2u);
}

TEST(directory, admits_whoever_is_wired_to_a_port_without_names) {
  const directory d = sample();
  const found_port wired = at(d, "usb", "usb0");
  EXPECT_TRUE(check(wired, "").allowed);
  EXPECT_EQ(luns_of(wired, "iqn.h:1").size(), 2u) << "a name says nothing there";
}

}  // namespace sluice::access
