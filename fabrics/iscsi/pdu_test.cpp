#include "fabrics/iscsi/pdu.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "fabrics/iscsi/answers.hpp"
#include "fabrics/iscsi/requests.hpp"

namespace sluice::iscsi {
namespace {

/// encode(decode(x)) must give x back once x holds only defined bits: one pass through the codec clears the others.
template <class Pdu>
void survives_the_codec() {
  rc::check([] {
    bhs raw = *rc::gen::container<bhs>(rc::gen::arbitrary<std::uint8_t>());
    const bhs once = encode(decode<Pdu>(raw));
    RC_ASSERT(encode(decode<Pdu>(once)) == once);
    RC_ASSERT(decode_header(once).code == Pdu::code);
  });
}

TEST(codec, every_pdu_survives_a_round_trip) {
  survives_the_codec<scsi_command>();
  survives_the_codec<task_management_request>();
  survives_the_codec<data_out>();
  survives_the_codec<text_request>();
  survives_the_codec<login_request>();
  survives_the_codec<logout_request>();
  survives_the_codec<snack_request>();
  survives_the_codec<nop_out>();
  survives_the_codec<scsi_response>();
  survives_the_codec<task_management_response>();
  survives_the_codec<data_in>();
  survives_the_codec<ready_to_transfer>();
  survives_the_codec<async_message>();
  survives_the_codec<text_response>();
  survives_the_codec<login_response>();
  survives_the_codec<logout_response>();
  survives_the_codec<reject>();
  survives_the_codec<nop_in>();
}

TEST(codec, reads_a_read_10_as_initiators_send_it) {
  bhs raw{};
  raw[0] = 0x01;
  raw[1] = 0xc1;  // F, R, simple
  wire::store64(raw, 8, 0x0001000000000000);
  wire::store32(raw, 16, 0x11223344);
  wire::store32(raw, 20, 4096);
  wire::store32(raw, 24, 7);
  wire::store32(raw, 28, 9);
  raw[32] = 0x28;
  const auto c = decode<scsi_command>(raw);
  EXPECT_TRUE(c.final && c.read && !c.write && !c.immediate);
  EXPECT_EQ(c.attribute, 1);
  EXPECT_EQ(c.lun, 0x0001000000000000u);
  EXPECT_EQ(c.initiator_task_tag, 0x11223344u);
  EXPECT_EQ(c.expected_data_transfer_length, 4096u);
  EXPECT_EQ(c.cmd_sn, 7u);
  EXPECT_EQ(c.exp_stat_sn, 9u);
  EXPECT_EQ(c.cdb[0], 0x28);
}

TEST(codec, places_the_login_status_where_initiators_look) {
  login_response r;
  r.status = login_status::not_found;
  r.isid = 0x023d01020304;
  r.tsih = 5;
  const bhs raw = encode(r, 12);
  EXPECT_EQ(raw[36], 2);
  EXPECT_EQ(raw[37], 3);
  EXPECT_EQ(wire::load48(raw, 8), 0x023d01020304u);
  EXPECT_EQ(wire::load16(raw, 14), 5);
  EXPECT_EQ(decode_header(raw).data_bytes, 12u);
}

TEST(ahs, takes_long_cdbs) {
  for (const std::uint8_t octets : {16, 244}) {
    std::vector<std::uint8_t> area{0, static_cast<std::uint8_t>(octets + 1), 1, 0};
    for (std::uint8_t i = 0; i < octets; ++i) area.push_back(i);
    additional_headers into;
    ASSERT_EQ(decode_ahs(area, into), ahs_verdict::ok);
    ASSERT_EQ(into.extended_cdb.size(), octets);
    EXPECT_EQ(into.extended_cdb.back(), octets - 1);
  }
}

TEST(ahs, refuses_what_is_longer_or_broken) {
  std::vector<std::uint8_t> long_cdb{0, 246, 1, 0};
  long_cdb.resize(252);
  additional_headers a;
  EXPECT_EQ(decode_ahs(long_cdb, a), ahs_verdict::cdb_too_long);
  additional_headers b;
  EXPECT_EQ(decode_ahs(std::vector<std::uint8_t>{0, 200, 1, 0}, b), ahs_verdict::malformed);
  additional_headers c;
  EXPECT_EQ(decode_ahs(std::vector<std::uint8_t>{0, 1, 9, 0}, c), ahs_verdict::malformed);
  additional_headers d;
  EXPECT_EQ(decode_ahs(std::vector<std::uint8_t>{0, 0}, d), ahs_verdict::malformed);
}

TEST(ahs, reads_the_bidirectional_length) {
  additional_headers into;
  ASSERT_EQ(decode_ahs(std::vector<std::uint8_t>{0, 5, 2, 0, 0, 1, 0, 0}, into), ahs_verdict::ok);
  EXPECT_TRUE(into.has_bidirectional_read);
  EXPECT_EQ(into.bidirectional_read_bytes, 65536u);
}

TEST(ahs, never_reads_past_its_area) {
  rc::check([](const std::vector<std::uint8_t>& area) {
    additional_headers into;
    if (decode_ahs(area, into) == ahs_verdict::ok) RC_ASSERT(into.extended_cdb.size() <= 244);
  });
}

}  // namespace
}  // namespace sluice::iscsi
