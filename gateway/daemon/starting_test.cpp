#include "gateway/daemon/starting.hpp"

#include <gmock/gmock.h>

#include "gateway/agreement/joining.hpp"

namespace sluice::daemon {
namespace {

using ::testing::ElementsAre;

config::store_config store(const std::string& name, const std::string& over = {}) {
  config::store_config made;
  made.name = name;
  made.over = over;
  return made;
}

config::unit_config unit(const std::string& name, const std::string& over) {
  config::unit_config made;
  made.name = name;
  made.store = over;
  return made;
}

/// Two towers, one with a name that begins like another's, and a store that nobody uses.
config::model some_model() {
  config::model m;
  m.stores = {store("a"), store("a.b"), store("hot", "warm"), store("idle"), store("warm", "a")};
  m.units = {unit("u", "hot"), unit("v", "a.b"), unit("w", "a.b")};
  config::target_config target;
  target.name = "t";
  target.luns = {{0, "u", {}}, {1, "v", {}}};
  config::access_config access;
  access.initiator = "iqn.x";
  access.luns = config::lun_map{{0, "v", {}}, {1, "w", {}}, {2, "u", {}}};
  target.access = {access};
  m.targets = {target};
  return m;
}

class leaving_out : public ::testing::Test {
 protected:
  leaving_out() {
    for (const char* name : {"u", "v", "w"}) meet(name);
  }
  void meet(const std::string& name) { EXPECT_TRUE(state_->save(agreement::record_name(name), "something")); }
  result<smaller_model> without(const std::string& refusal) { return leave_out(some_model(), refusal, *state_); }
  static std::vector<std::string> stores_of(const smaller_model& m) { return names(m.model.stores); }
  template <class T>
  static std::vector<std::string> names(const std::vector<T>& all) {
    std::vector<std::string> found;
    for (const T& each : all) found.push_back(each.name);
    return found;
  }
  static std::vector<std::string> units_behind(const config::lun_map& luns) {
    std::vector<std::string> found;
    for (const config::lun_config& each : luns) found.push_back(each.unit);
    return found;
  }

  std::unique_ptr<state::state_store> state_ = state::make_memory_store();
};

TEST_F(leaving_out, what_lies_over_a_store_goes_with_it_and_what_nobody_uses_then) {
  const auto made = without("store.warm: it is gone");
  ASSERT_TRUE(made);
  EXPECT_THAT(stores_of(*made), ElementsAre("a.b", "idle"));
  EXPECT_THAT(names(made->model.units), ElementsAre("v", "w"));
  EXPECT_THAT(units_behind(made->model.targets[0].luns), ElementsAre("v"));
  EXPECT_THAT(units_behind(*made->model.targets[0].access[0].luns), ElementsAre("v", "w"));
  ASSERT_EQ(made->absent.size(), 1u);
  EXPECT_EQ(made->absent[0].name, "u");
  EXPECT_EQ(made->absent[0].store, "hot");
  EXPECT_EQ(made->absent[0].why, "store.warm: it is gone");
}

TEST_F(leaving_out, names_with_dots_are_told_from_keys) {
  const auto longer = without("store.a.b: it is gone");
  ASSERT_TRUE(longer);
  EXPECT_THAT(names(longer->model.units), ElementsAre("u"));
  const auto key = without("store.a.size: it is smaller");
  ASSERT_TRUE(key);
  EXPECT_THAT(names(key->model.units), ElementsAre("v", "w"));
}

TEST_F(leaving_out, a_unit_leaves_its_store_to_others) {
  const auto made = without("unit.w: its record cannot be read");
  ASSERT_TRUE(made);
  EXPECT_THAT(names(made->model.units), ElementsAre("u", "v"));
  EXPECT_EQ(stores_of(*made).size(), 5u);
}

TEST_F(leaving_out, is_no_way_out_of_a_mistake_in_the_configuration) {
  EXPECT_EQ(without("port iqn.x: the address is in use").error().code, errc::not_found);
  EXPECT_EQ(without("store.idle: there is no such folder").error().code, errc::invalid_argument);
  EXPECT_EQ(without("store.nobody: there is no such folder").error().code, errc::not_found);
  state_ = state::make_memory_store();
  meet("v");
  EXPECT_EQ(without("store.warm: there is no such folder").error().code, errc::invalid_argument) << "nobody knows u";
  EXPECT_EQ(without("store.a.b: there is no such folder").error().code, errc::invalid_argument) << "nor w";
}

}  // namespace
}  // namespace sluice::daemon
