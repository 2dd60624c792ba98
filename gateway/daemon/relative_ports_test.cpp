#include "gateway/daemon/relative_ports.hpp"

#include <gtest/gtest.h>

#include <caf/all.hpp>
#include <thread>

#include "gateway/state/local_authority.hpp"

namespace sluice::daemon {
namespace {

/// A core that the control thread can ask, over a state store that stays.
class relative_ports_test : public testing::Test {
 protected:
  ~relative_ports_test() override {
    loop_->stop();
    thread_.join();
  }
  /// As at a start of the gateway.
  void start() { authority_ = *state::local_authority::make(*state_); }
  result<relative_ports> load() {
    if (!authority_) start();
    return relative_ports::load(*authority_, core_, *state_);
  }
  relative_ports loaded() { return std::move(load().value()); }

  const std::unique_ptr<state::state_store> state_ = state::make_memory_store();

 private:
  caf::actor_system_config config_;
  caf::actor_system system_{config_};
  const std::unique_ptr<reactor::loop> loop_ = *reactor::make_loop({});
  runtime::core core_{system_, *loop_};
  std::thread thread_{[this] { loop_->run(); }};
  std::unique_ptr<state::local_authority> authority_;
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
