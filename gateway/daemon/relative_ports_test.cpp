#include "gateway/daemon/relative_ports.hpp"

#include "gateway/daemon/agreed_fixture.hpp"

namespace sluice::daemon {
namespace {

class relative_ports_test : public agreed_fixture {
 protected:
  result<relative_ports> load() { return relative_ports::load(authority(), core(), *state_); }
  relative_ports loaded() { return std::move(load().value()); }
};

port::port_id iscsi(const char* name, std::uint16_t group = 1) {
  return {"iscsi", name, group};
}

TEST_F(relative_ports_test, keep_their_numbers_whatever_comes_and_goes) {
  {
    auto ports = loaded();
    EXPECT_EQ(ports.of(iscsi("iqn.a")).value(), 1);
    EXPECT_EQ(ports.of(iscsi("iqn.b")).value(), 2);
    EXPECT_EQ(ports.of(iscsi("iqn.a")).value(), 1);
    EXPECT_EQ(ports.of(iscsi("iqn.a", 2)).value(), 3) << "a port of the same name in another group is another port";
    EXPECT_EQ(ports.of({"iser", "iqn.a", 1}).value(), 4);
  }
  start();
  auto again = loaded();
  EXPECT_EQ(again.of(iscsi("iqn.c")).value(), 5);
  EXPECT_EQ(again.of(iscsi("iqn.b")).value(), 2);
  EXPECT_EQ(again.of(iscsi("iqn.a", 2)).value(), 3);
}

TEST_F(relative_ports_test, take_over_the_numbers_of_a_list_by_names_alone) {
  ASSERT_TRUE(state_->save("relative-ports", "7 iqn.a\n3 iqn.b\n"));
  auto ports = loaded();
  EXPECT_EQ(ports.of(iscsi("iqn.a", 2)).value(), 7);
  EXPECT_EQ(ports.of(iscsi("iqn.a", 1)).value(), 8);
  start();
  auto again = loaded();
  EXPECT_EQ(again.of(iscsi("iqn.a", 2)).value(), 7);
  EXPECT_EQ(again.of(iscsi("iqn.b")).value(), 3);
}

TEST_F(relative_ports_test, of_two_gateways_with_one_authority_differ) {
  auto one = loaded();
  auto two = loaded();
  EXPECT_EQ(one.of(iscsi("iqn.a")).value(), 1);
  EXPECT_EQ(two.of(iscsi("iqn.b")).value(), 2);
  EXPECT_EQ(one.of(iscsi("iqn.b")).value(), 2);
  EXPECT_EQ(two.of(iscsi("iqn.a")).value(), 1);
}

TEST_F(relative_ports_test, that_cannot_be_read_are_never_given_again) {
  for (const char* text : {"x iscsi 1 iqn.b", "0 iscsi 1 iqn.b", "2", "2 ", "70000 iscsi 1 iqn.b"}) {
    ASSERT_TRUE(state_->save("ports", state::frame({1, std::string("1 iscsi 1 iqn.a\n") + text + "\n"})));
    start();
    auto ports = loaded();
    EXPECT_EQ(ports.of(iscsi("iqn.a")).value(), 1) << "its line is whole";
    EXPECT_EQ(ports.of(iscsi("iqn.b")).value(), 32768) << text;
    start();
    auto again = loaded();
    EXPECT_EQ(again.of(iscsi("iqn.b")).value(), 32768) << "the list is whole again";
    EXPECT_EQ(again.of(iscsi("iqn.c")).value(), 32769);
  }
}

TEST_F(relative_ports_test, of_a_record_that_cannot_be_read_at_all_are_lost) {
  for (const char* text : {"", "1 iscsi 1 iqn.a\n", "nonsense"}) {
    ASSERT_TRUE(state_->save("ports", text));
    start();
    EXPECT_EQ(loaded().of(iscsi("iqn.a")).value(), 32768) << text;
  }
  ASSERT_TRUE(state_->save("relative-ports", "nonsense"));
  ASSERT_TRUE(state_->save("ports", state::frame({1, ""})));
  start();
  EXPECT_EQ(loaded().of(iscsi("iqn.a")).value(), 32768) << "of the former format";
}

}  // namespace
}  // namespace sluice::daemon
