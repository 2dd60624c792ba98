#include "tests/fabrics/breaking.hpp"
#include "tests/fabrics/port_fixture.hpp"
#include "tests/fabrics/test_iser.hpp"

/// iSER beyond the contract: logins, buffers and keys, initiators that break the rules, and connections that break by
/// chance.
namespace sluice::fabrics {
namespace {

using namespace port::contract;
using iscsi::login_status;

class iser_port_test : public port_fixture<iser_site, iser_initiator, iser_wishes> {
 protected:
  bool says(const iser_initiator& who, const char* key) { return who.answered_keys.find(key) != std::string::npos; }
};

// -- logins --------------------------------------------------------------------------------------------------------

TEST_F(iser_port_test, a_login_agrees_on_rdma) {
  const auto a = ready(0);
  EXPECT_TRUE(says(*a, "RDMAExtensions=Yes")) << a->answered_keys;
  EXPECT_TRUE(says(*a, "HeaderDigest=None")) << a->answered_keys;
  EXPECT_TRUE(says(*a, "TargetRecvDataSegmentLength=8192")) << a->answered_keys;
  EXPECT_TRUE(says(*a, "InitiatorRecvDataSegmentLength=8192")) << a->answered_keys;
  EXPECT_FALSE(says(*a, "MaxRecvDataSegmentLength")) << "it says nothing here, and open-iscsi asks for none";
  EXPECT_GT(a->window(), 1u);
}
TEST_F(iser_port_test, a_session_without_rdma_is_refused) {
  const auto a = make(0, {.more_keys = {"InitiatorAlias=x"}});
  a->log_in();
  EXPECT_TRUE(is_down(*a));
  EXPECT_EQ(a->refusal, login_status::initiator_error);
  const auto b = make(0, {.more_keys = {"RDMAExtensions=No"}});
  b->log_in();
  EXPECT_TRUE(is_down(*b));
}
TEST_F(iser_port_test, what_an_initiator_says_of_itself_is_not_answered) {
  const auto a = ready(0, {.more_keys = {"RDMAExtensions=Yes", "MaxOutstandingUnexpectedPDUs=16", "MaxAHSLength=256",
                                         "iSERHelloRequired=No", "MaxRecvDataSegmentLength=262144"}});
  EXPECT_FALSE(says(*a, "NotUnderstood")) << a->answered_keys;
  EXPECT_FALSE(says(*a, "MaxAHSLength")) << a->answered_keys;
  expect_well(*a);
}
TEST_F(iser_port_test, a_second_login_takes_the_place_of_the_first) {
  const auto a = ready(0), again = ready(0);
  EXPECT_TRUE(is_down(*a));
  expect_well(*again);
}
TEST_F(iser_port_test, a_hello_is_answered) {
  struct spy final : rdma::peer::handler {
    void on_accepted(const_bytes) override { up = true; }
    void on_rejected(const_bytes) override {}
    void on_message(const_bytes said) override { heard.assign(said.begin(), said.end()); }
    void on_closed() override {}
    bool up = false;
    octets heard;
  } told;
  rdma::peer peer(site_.network(), "192.0.2.7:1", told);
  peer.connect(iser_address, encode(iser::abilities{false, false}));
  EXPECT_TRUE(site_.until([&] { return told.up; }));
  octets hello(iser::header_bytes);
  hello[0] = 0x20;
  hello[1] = 0x11;
  peer.send(hello);
  EXPECT_TRUE(site_.until([&] { return !told.heard.empty(); }));
  EXPECT_EQ(told.heard[0], 0x30);
  EXPECT_EQ(told.heard[1], 0x11);
}

TEST_F(iser_port_test, a_stranger_that_is_turned_away_holds_nothing) {
  const auto a = make(0, {.more_keys = {"RDMAExtensions=No"}});
  const std::uint32_t before = site_.network().queue_pairs();
  const std::uint64_t began_ns = site_.now_ns();
  a->log_in();
  EXPECT_TRUE(is_down(*a));
  EXPECT_TRUE(site_.until([&] { return site_.network().queue_pairs() == before; }));
  EXPECT_LT(site_.now_ns() - began_ns, ns_per_s) << "while its slot lingers, so that it comes back more seldom";
}

// -- buffers and keys ------------------------------------------------------------------------------------------------

TEST_F(iser_port_test, a_response_invalidates_the_key_of_its_own_command) {
  const auto a = ready(0);
  a->invalidated = 0;
  expect_well(*a);
  EXPECT_EQ(a->invalidated, 2u) << "one of the write, one of the read";
}
TEST_F(iser_port_test, no_key_of_an_initiator_that_does_not_want_it_is_invalidated) {
  const auto a = ready(0, {.invalidates = false});
  a->invalidated = 0;
  expect_well(*a);
  EXPECT_EQ(a->invalidated, 0u);
}
TEST_F(iser_port_test, a_write_that_names_no_buffer_is_refused_alone) {
  const auto a = ready(0);
  iscsi::scsi_command c;
  c.write = true;
  c.initiator_task_tag = 7;
  c.cmd_sn = a->next_cmd_sn();
  c.expected_data_transfer_length = 512;
  c.cdb[0] = 0x2a;
  c.cdb[8] = 1;
  c.immediate = true;  // so that it takes no number
  request r = test_unit_ready();
  a->expect_foreign(7, r);
  a->peer().send(iser_initiator::message_of(iscsi::encode(c)));
  EXPECT_TRUE(site_.until([&] { return r.done; }));
  EXPECT_TRUE(r.how.checked(scsi::sense_key::aborted_command)) << r.how.describe();
  expect_well(*a);
}

// -- those that break the rules ------------------------------------------------------------------------------------

class iser_hostile : public hostile_fixture<iser_port_test, iser_initiator> {
 protected:
  iscsi::scsi_command read_of_a_block() {
    iscsi::scsi_command c;
    c.read = true;
    c.initiator_task_tag = 7;
    c.immediate = true;
    c.cmd_sn = bad_->next_cmd_sn();
    c.expected_data_transfer_length = 512;
    c.cdb[0] = 0x28;
    c.cdb[8] = 1;
    return c;
  }
};

TEST_F(iser_hostile, a_message_of_no_type) {
  bad_->peer().send(octets(76, 0x77));
}
TEST_F(iser_hostile, a_message_that_is_cut_short) {
  bad_->peer().send(octets{0x10, 0, 0});
}
TEST_F(iser_hostile, a_message_without_a_pdu) {
  octets header(iser::header_bytes);
  header[0] = 0x10;
  bad_->peer().send(header);
}
TEST_F(iser_hostile, a_data_segment_that_is_not_there) {
  bad_->peer().send(iser_initiator::message_of(iscsi::encode(read_of_a_block(), 4096)));
}
TEST_F(iser_hostile, a_message_that_goes_on_behind_its_pdu) {
  bad_->peer().send(iser_initiator::message_of(iscsi::encode(read_of_a_block()), octets(64)));
}
TEST_F(iser_hostile, a_message_longer_than_announced) {
  bad_->peer().send(octets(9000, 0x10));
}
TEST_F(iser_hostile, a_key_that_does_not_exist) {
  bad_->peer().send(iser_initiator::message_of(iscsi::encode(read_of_a_block()), {}, {{}, {0xdead, 0x1000, true}}));
}
TEST_F(iser_hostile, a_key_that_may_not_be_written) {
  octets memory(512);
  const std::uint32_t key = bad_->peer().expose(memory, false);
  bad_->peer().send(iser_initiator::message_of(iscsi::encode(read_of_a_block()), {},
                                               {{}, {key, reinterpret_cast<std::uint64_t>(memory.data()), true}}));
  EXPECT_TRUE(is_down(*bad_));
}
TEST_F(iser_hostile, a_read_that_names_no_buffer) {
  bad_->peer().send(iser_initiator::message_of(iscsi::encode(read_of_a_block())));
}

// -- by chance -------------------------------------------------------------------------------------------------------

TEST(iser_by_chance, connections_break_at_any_moment) {
  const unsigned long count = seeds_of("SLUICE_ISER_SEEDS");
  for (std::uint64_t seed = 1; seed <= count && !testing::Test::HasFailure(); ++seed) {
    iser_site site({}, seed);
    const iser_wishes wishes{.initial_r2t = seed % 3 != 0,
                             .immediate_data = seed % 2 == 0,
                             .first_burst = seed % 5 == 0 ? 4096u : 65536u,
                             .whole_buffer = seed % 7 == 0,
                             .invalidates = seed % 4 != 0};
    work_and_break(
        site, [&](unsigned w) { return std::make_unique<iser_initiator>(site.network(), w, wishes); }, seed);
  }
}

}  // namespace
}  // namespace sluice::fabrics
