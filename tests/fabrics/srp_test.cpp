#include "actors/wire/big_endian.hpp"
#include "tests/fabrics/breaking.hpp"
#include "tests/fabrics/port_fixture.hpp"
#include "tests/fabrics/test_srp.hpp"

/// SRP beyond the contract: logins, channels, initiators that break the rules, and connections that break by chance.
namespace sluice::fabrics {
namespace {

using namespace port::contract;
using port::task_function;
using port::task_response;

class srp_port_test : public port_fixture<srp_site, srp_initiator, srp_wishes> {
 protected:
  task_response manage(initiator& by, task_function function, const request* referenced = nullptr) {
    std::optional<task_response> answer;
    by.manage(function, 0, referenced, [&](task_response r) { answer = r; });
    EXPECT_TRUE(site_.until([&] { return answer.has_value(); }));
    return answer.value_or(task_response::rejected);
  }
};

// -- logins --------------------------------------------------------------------------------------------------------

TEST_F(srp_port_test, a_login_says_what_there_is) {
  const auto a = ready(0, {.immediate = true});
  EXPECT_EQ(a->welcome.tag, 7u);
  EXPECT_TRUE(a->welcome.immediate);
  EXPECT_GE(a->welcome.max_initiator_iu_bytes, 8276u);
  EXPECT_EQ(a->welcome.channels, srp::login_response::others::none);
  EXPECT_EQ(a->credits, 128);
  const auto again = ready(0);
  EXPECT_EQ(again->welcome.channels, srp::login_response::others::terminated);
  EXPECT_FALSE(again->welcome.immediate);
  EXPECT_TRUE(is_down(*a));
}

TEST_F(srp_port_test, a_login_that_cannot_be_is_told_why) {
  const auto refused = [&](const srp::login_request& asked) {
    const auto a = make(0);
    a->log_in(asked);
    EXPECT_FALSE(is_up(*a));
    return a->refusal;
  };
  srp::login_request wrong = make(0)->login();
  wrong.target[15] ^= 1;
  EXPECT_EQ(refused(wrong), srp::login_refusal::cannot_associate);
  wrong = make(0)->login();
  wrong.max_initiator_iu_bytes = 63;
  EXPECT_EQ(refused(wrong), srp::login_refusal::iu_too_large);
  wrong.max_initiator_iu_bytes = 1 << 20;
  EXPECT_EQ(refused(wrong), srp::login_refusal::iu_too_large);
  EXPECT_EQ(refused(make(site::stranger)->login()), srp::login_refusal::channel_limit_reached);
  site_.network().settings().queue_pairs = site_.network().queue_pairs();
  EXPECT_EQ(refused(make(0)->login()), srp::login_refusal::insufficient_resources);
  site_.network().settings().queue_pairs = 100;
  const auto a = ready(0);
  expect_well(*a);
}

TEST_F(srp_port_test, whatever_is_no_login_is_refused) {
  struct silent final : rdma::peer::handler {
    void on_accepted(const_bytes) override { ADD_FAILURE(); }
    void on_rejected(const_bytes) override { ++refused; }
    void on_message(const_bytes) override {}
    void on_closed() override {}
    int refused = 0;
  } told;
  rdma::peer peer(site_.network(), "192.0.2.66:1", told);
  int count = 0;
  for (const std::size_t size : {0u, 1u, 55u, 92u}) {
    peer.connect(srp_address, octets(size, 0xff));
    ++count;
    EXPECT_TRUE(site_.until([&] { return told.refused == count; }));
  }
  const auto a = ready(0);
  expect_well(*a);
}

TEST_F(srp_port_test, a_device_with_little_gives_few_credits) {
  site_.network().settings().limits = {10, 8};
  const auto a = ready(0);
  EXPECT_EQ(a->credits, 8);
  std::vector<request> all(64, read_10(0, 256));
  for (request& each : all) a->submit(each);
  for (request& each : all) {
    EXPECT_TRUE(site_.until([&] { return each.done; }));
    EXPECT_TRUE(each.how.good());
  }
  EXPECT_EQ(a->credits, 8);
}

// -- several channels ------------------------------------------------------------------------------------------------

TEST_F(srp_port_test, channels_of_one_initiator_port_are_one_nexus) {
  const auto first = ready(0);
  std::vector<std::unique_ptr<srp_initiator>> more;
  for (unsigned i = 1; i < simulated_site::cores; ++i) {
    more.push_back(make(0, {.multiple = true}));
    more.back()->log_in();
    ASSERT_TRUE(is_up(*more.back()));
    EXPECT_EQ(more.back()->welcome.channels, srp::login_response::others::maintained);
    EXPECT_TRUE(run(*more.back(), test_unit_ready()).good()) << "no unit attention of a nexus of its own";
  }
  const auto beyond = make(0, {.multiple = true});
  beyond->log_in();
  EXPECT_FALSE(is_up(*beyond));
  EXPECT_EQ(beyond->refusal, srp::login_refusal::no_multiple_channels);
  for (const auto& each : more) expect_well(*each);
  expect_well(*first);

  // A reset by one of them ends what the others owe.
  request owed = write_10(0, pattern(4096, 1));
  owed.withholds = true;
  more[0]->submit(owed);
  EXPECT_TRUE(site_.until([&] { return more[0]->owes(owed); }));
  std::optional<task_response> answer;
  first->manage(task_function::logical_unit_reset, 0, nullptr, [&](task_response r) { answer = r; });
  site_.run_for(ns_per_s);
  EXPECT_FALSE(answer) << "the read by another channel may still be under way in the initiator's memory";
  attentions(*more[1]);
  expect_well(*more[1]);
  more[0]->resume(owed);
  EXPECT_TRUE(site_.until([&] { return answer.has_value(); }));
  EXPECT_EQ(*answer, task_response::function_complete);
  EXPECT_FALSE(owed.how.answered && owed.how.good());

  // Another login of the port ends them all.
  const auto again = ready(0);
  for (const auto& each : more) EXPECT_TRUE(is_down(*each));
  EXPECT_TRUE(is_down(*first));
  expect_well(*again);
}

TEST_F(srp_port_test, a_channel_that_breaks_ends_alone) {
  const auto first = ready(0);
  const auto second = make(0, {.multiple = true});
  second->log_in();
  ASSERT_TRUE(is_up(*second));
  request owed = write_10(0, pattern(4096, 1));
  owed.withholds = true;
  second->submit(owed);
  EXPECT_TRUE(site_.until([&] { return second->owes(owed); }));
  second->vanish();
  site_.run_for(ns_per_s);
  expect_well(*first);
  second->log_in();
  ASSERT_TRUE(is_up(*second)) << "its place is free again";
  expect_well(*second);
}

// -- those that break the rules ------------------------------------------------------------------------------------

class srp_hostile : public hostile_fixture<srp_port_test, srp_initiator> {
 protected:
  octets command(std::uint64_t tag, octets cdb) {
    cdb_ = std::move(cdb);
    cdb_.resize(16);
    srp::command c;
    c.tag = tag;
    c.cdb = cdb_;
    return encode(c, 0);
  }
  octets cdb_;
};

TEST_F(srp_hostile, an_unknown_iu) {
  bad_->peer().send(octets(16, 0x77));
}
TEST_F(srp_hostile, a_command_that_is_cut_short) {
  bad_->peer().send(octets{0x02, 0, 0});
}
TEST_F(srp_hostile, a_message_longer_than_announced) {
  bad_->peer().send(octets(9000, 0x02));
}
TEST_F(srp_hostile, answers_to_nothing) {
  octets answer(16);
  answer[0] = 0x41;
  bad_->peer().send(answer);
}
TEST_F(srp_hostile, immediate_data_that_were_not_agreed_on) {
  octets iu = command(1, {0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0});
  iu[5] = 0x30;
  iu.resize(52 + 512);
  wire::store32(iu, 48, 512);
  bad_->peer().send(iu);
}
TEST_F(srp_hostile, a_key_that_does_not_exist) {
  octets iu = command(1, {0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0});
  iu[5] = 0x01;
  iu.resize(64);
  wire::store64(iu, 48, 0x1000);
  wire::store32(iu, 56, 0xdead);
  wire::store32(iu, 60, 512);
  bad_->peer().send(iu);
}
TEST_F(srp_hostile, a_table_that_is_not_there) {
  octets iu = command(1, {0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0});
  iu[5] = 0x20;
  iu.resize(68);
  wire::store32(iu, 56, 0xdead);
  wire::store32(iu, 60, 16);
  wire::store32(iu, 64, 512);
  bad_->peer().send(iu);
}
TEST_F(srp_hostile, a_table_of_another_length) {
  // What the pieces do not cover would be written as it lay in the gateway's memory.
  octets memory(256), table(16);
  wire::store64(table, 0, reinterpret_cast<std::uint64_t>(memory.data()));
  wire::store32(table, 8, bad_->peer().expose(memory, false));
  wire::store32(table, 12, 256);
  octets iu = command(1, {0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0});
  iu[5] = 0x20;
  iu.resize(68);
  wire::store64(iu, 48, reinterpret_cast<std::uint64_t>(table.data()));
  wire::store32(iu, 56, bad_->peer().expose(table, false));
  wire::store32(iu, 60, 16);
  wire::store32(iu, 64, 512);
  bad_->peer().send(iu);
  EXPECT_TRUE(is_down(*bad_));
}
TEST_F(srp_hostile, a_tag_that_is_in_use) {
  octets memory(4096);
  const std::uint32_t key = bad_->peer().expose(memory, false);
  bad_->peer().hold(key);
  octets iu = command(5, {0x2a, 0, 0, 0, 0, 0, 0, 0, 8, 0});
  iu[5] = 0x10;
  iu.resize(64);
  wire::store64(iu, 48, reinterpret_cast<std::uint64_t>(memory.data()));
  wire::store32(iu, 56, key);
  wire::store32(iu, 60, 4096);
  bad_->peer().send(iu);
  bad_->peer().send(iu);
  EXPECT_TRUE(is_down(*bad_));
}
TEST_F(srp_hostile, more_commands_than_there_are_credits) {
  octets memory(4096);
  const std::uint32_t key = bad_->peer().expose(memory, false);
  bad_->peer().hold(key);
  for (int i = 0; i < bad_->credits + 1; ++i) {
    octets iu = command(static_cast<std::uint64_t>(1000 + i), {0x2a, 0, 0, 0, 0, 0, 0, 0, 8, 0});
    iu[5] = 0x10;
    iu.resize(64);
    wire::store64(iu, 48, reinterpret_cast<std::uint64_t>(memory.data()));
    wire::store32(iu, 56, key);
    wire::store32(iu, 60, 4096);
    bad_->peer().send(iu);
  }
  EXPECT_TRUE(is_down(*bad_));
}

// -- credits and tasks ---------------------------------------------------------------------------------------------

TEST_F(srp_port_test, credits_of_commands_that_end_without_an_answer_come_back) {
  const auto a = ready(0), b = ready(1);
  const std::int32_t all = a->credits;
  std::vector<request> owed(static_cast<std::size_t>(all), write_10(0, pattern(512, 1)));
  for (request& each : owed) {
    each.withholds = true;
    a->submit(each);
  }
  EXPECT_TRUE(site_.until([&] { return a->owes(owed.back()); }));
  EXPECT_EQ(a->credits, 0);
  EXPECT_EQ(manage(*b, task_function::logical_unit_reset), task_response::function_complete);
  for (request& each : owed) a->resume(each);
  EXPECT_TRUE(site_.until([&] { return a->credits == all; })) << a->credits;
  attentions(*a);
  expect_well(*a);
}

TEST_F(srp_port_test, a_function_that_srp_does_not_have_is_not_supported) {
  const auto a = ready(0);
  struct spy final : rdma::peer::handler {
    void on_accepted(const_bytes) override { up = true; }
    void on_rejected(const_bytes) override {}
    void on_message(const_bytes iu) override { said = srp::decode_response(iu).value().code; }
    void on_closed() override {}
    bool up = false;
    std::optional<srp::response_code> said;
  } told;
  rdma::peer peer(site_.network(), "192.0.2.7:1", told);
  peer.connect(srp_address, encode(make(1)->login()));
  EXPECT_TRUE(site_.until([&] { return told.up; }));
  peer.send(encode(srp::task_management{1, 0, 0x20, 0}));
  EXPECT_TRUE(site_.until([&] { return told.said.has_value(); }));
  EXPECT_EQ(*told.said, srp::response_code::not_supported);
}

// -- by chance -------------------------------------------------------------------------------------------------------

TEST(srp_by_chance, connections_break_at_any_moment) {
  const unsigned long count = seeds_of("SLUICE_SRP_SEEDS");
  for (std::uint64_t seed = 1; seed <= count && !testing::Test::HasFailure(); ++seed) {
    srp_site site({}, seed);
    const srp_wishes wishes{
        .immediate = seed % 2 == 0, .piece = seed % 3 == 0 ? 3000u : 1u << 20, .listed = seed % 5 == 0 ? 1u : 100u};
    work_and_break(
        site, [&](unsigned w) { return std::make_unique<srp_initiator>(site.network(), w, wishes); }, seed);
  }
}

}  // namespace
}  // namespace sluice::fabrics
