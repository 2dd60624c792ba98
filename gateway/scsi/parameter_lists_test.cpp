#include "gateway/scsi/parameter_lists.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "actors/wire/big_endian.hpp"

namespace sluice::scsi {
namespace {

using octets = std::vector<std::uint8_t>;

const transport_id host{.protocol = protocol::iscsi, .name = "iqn.2026-11.example:host", .extension = {}};
const transport_id session{
    .protocol = protocol::iscsi, .name = "iqn.2026-11.example:host", .extension = "0x00023d000001"};

octets unmap_list(const std::vector<block_range>& ranges) {
  octets list(8 + 16 * ranges.size());
  wire::store16(list, 0, list.size() - 2);
  wire::store16(list, 2, list.size() - 8);
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    wire::store64(list, 8 + 16 * i, ranges[i].lba);
    wire::store32(list, 16 + 16 * i, ranges[i].blocks);
  }
  return list;
}

constexpr unmap_limits limits{.capacity_blocks = 1000, .max_blocks = 100, .max_descriptors = 3};

TEST(unmap, gives_the_ranges_that_have_blocks) {
  const auto ranges = parse_unmap(unmap_list({{0, 8}, {1000, 0}, {990, 10}}), limits);
  ASSERT_TRUE(ranges);
  EXPECT_EQ(*ranges, (std::vector<block_range>{{0, 8}, {990, 10}}));
}

TEST(unmap, empty_lists_are_no_error_but_half_a_header_is) {
  EXPECT_TRUE(parse_unmap({}, limits));
  EXPECT_TRUE(parse_unmap(octets(8), limits));
  EXPECT_EQ(parse_unmap(octets(7), limits).error().sense.code, asc::parameter_list_length_error);
}

TEST(unmap, holds_to_the_limits) {
  EXPECT_EQ(parse_unmap(unmap_list({{995, 6}}), limits).error().sense.code, asc::lba_out_of_range);
  EXPECT_EQ(parse_unmap(unmap_list({{0, 60}, {100, 41}}), limits).error().sense.code,
            asc::invalid_field_in_parameter_list);
  EXPECT_EQ(parse_unmap(unmap_list({{0, 1}, {1, 1}, {2, 1}, {3, 1}}), limits).error().sense.code,
            asc::invalid_field_in_parameter_list);
}

octets pr_list(std::uint8_t flags, const std::vector<transport_id>& ids) {
  octets list(24);
  wire::store64(list, 0, 1);
  wire::store64(list, 8, 2);
  list[20] = flags;
  if ((flags & 0x08) == 0) return list;
  list.resize(28);
  for (const transport_id& id : ids) {
    const octets one = encode(id);
    list.insert(list.end(), one.begin(), one.end());
  }
  wire::store32(list, 24, list.size() - 28);
  return list;
}

TEST(pr_out, reads_keys_flags_and_initiators) {
  const auto p = parse_pr_out(pr_out_action::register_key, pr_list(0x0d, {host, session}));
  ASSERT_TRUE(p);
  EXPECT_EQ(p->reservation_key, 1u);
  EXPECT_EQ(p->service_action_key, 2u);
  EXPECT_TRUE(p->spec_i_pt && p->all_tg_pt && p->aptpl);
  EXPECT_EQ(p->initiators, (std::vector{host, session}));
}

TEST(pr_out, ignores_registration_flags_elsewhere_and_refuses_spec_i_pt) {
  const auto p = parse_pr_out(pr_out_action::reserve, pr_list(0x05, {}));
  ASSERT_TRUE(p);
  EXPECT_FALSE(p->all_tg_pt || p->aptpl);
  const auto refused = parse_pr_out(pr_out_action::register_and_ignore_existing_key, pr_list(0x08, {host}));
  EXPECT_EQ(refused.error().sense.code, asc::invalid_field_in_parameter_list);
}

TEST(pr_out, wants_exact_lengths) {
  octets list = pr_list(0, {});
  list.push_back(0);
  for (const octets& bad : {octets(23), list, octets()})
    EXPECT_EQ(parse_pr_out(pr_out_action::reserve, bad).error().sense.code, asc::parameter_list_length_error);
  octets long_ids = pr_list(0x08, {host});
  wire::store32(long_ids, 24, long_ids.size());
  EXPECT_EQ(parse_pr_out(pr_out_action::register_key, long_ids).error().sense.code, asc::parameter_list_length_error);
}

TEST(pr_move, reads_the_destination) {
  octets list(24);
  wire::store64(list, 8, 2);
  list[17] = 3;
  wire::store16(list, 18, 7);
  const octets id = encode(session);
  list.insert(list.end(), id.begin(), id.end());
  wire::store32(list, 20, id.size());
  const auto p = parse_pr_move(list);
  ASSERT_TRUE(p);
  EXPECT_TRUE(p->unregister && p->aptpl);
  EXPECT_EQ(p->relative_target_port, 7);
  EXPECT_EQ(p->destination, session);
  wire::store64(list, 8, 0);
  EXPECT_EQ(parse_pr_move(list).error().sense.field_byte, 8);
}

TEST(wanted_groups, are_read_with_their_place) {
  const octets list{0, 0, 0, 0, 0x01, 0, 0x12, 0x34, 0xf0, 0, 0, 2};
  const auto wanted = parse_wanted_groups(list);
  ASSERT_TRUE(wanted);
  ASSERT_EQ(wanted->size(), 2U);
  EXPECT_EQ((*wanted)[0].at, 4U);
  EXPECT_EQ((*wanted)[0].number, 0x1234);
  EXPECT_EQ((*wanted)[0].state, asymmetric_access::active_non_optimized);
  EXPECT_EQ((*wanted)[1].state, asymmetric_access::active_optimized) << "the high bits are reserved";
  EXPECT_TRUE(parse_wanted_groups({})->empty());
  EXPECT_TRUE(parse_wanted_groups(octets(4))->empty());
}

TEST(wanted_groups, of_broken_lists_and_of_states_that_nobody_can_have_are_refused) {
  for (const std::size_t size : {1u, 3u, 5u, 7u, 9u})
    EXPECT_EQ(parse_wanted_groups(octets(size)).error().sense.code, asc::parameter_list_length_error) << size;
  for (const std::uint8_t state : {0x04, 0x0e, 0x0f}) {
    const auto refused = parse_wanted_groups(octets{0, 0, 0, 0, state, 0, 0, 1});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().sense.field_byte, 4);
  }
}

TEST(transport_id, every_protocol_round_trips) {
  const transport_id ids[] = {host,
                              session,
                              {protocol::fcp, "5001020304050607", ""},
                              {protocol::sbp, "0011223344556677", ""},
                              {protocol::srp, "00112233445566778899aabbccddeeff", ""},
                              {protocol::sas, "5000c50012345678", ""},
                              {protocol::uas, "0102030405060708", ""}};
  for (const transport_id& id : ids) {
    const octets wire_form = encode(id);
    EXPECT_EQ(wire_form.size() % 4, 0u);
    EXPECT_GE(wire_form.size(), 24u);
    std::size_t used = 0;
    const auto back = decode_transport_id(wire_form, used);
    ASSERT_TRUE(back) << id.to_string();
    EXPECT_EQ(*back, id);
    EXPECT_EQ(used, wire_form.size());
  }
}

TEST(transport_id, iscsi_names_know_no_case) {
  std::size_t used = 0;
  for (transport_id id : {host, session}) {
    const transport_id canonical = id;
    id.name = "iqn.2026-11.EXAMPLE:" + id.name.substr(id.name.find(':') + 1);
    EXPECT_EQ(*decode_transport_id(encode(id), used), canonical);
  }
}

/// What is kept is never longer than what can be read again.
TEST(transport_id, iscsi_names_have_223_bytes_at_most) {
  std::size_t used = 0;
  for (const std::size_t length : {222u, 223u, 224u, 238u}) {
    for (const std::string& extension : {std::string(), session.extension}) {
      const transport_id id{protocol::iscsi, "iqn." + std::string(length - 4, 'x'), extension};
      EXPECT_EQ(decode_transport_id(encode(id), used).has_value(), length <= 223) << length << extension;
    }
  }
}

TEST(transport_id, refuses_malformed_iscsi_names) {
  std::size_t used = 0;
  octets no_isid = encode(host);
  no_isid[0] |= 0x40;
  EXPECT_FALSE(decode_transport_id(no_isid, used));
  octets unterminated = encode(host);
  std::fill(unterminated.begin() + 4, unterminated.end(), 'a');
  EXPECT_FALSE(decode_transport_id(unterminated, used));
  octets cut_short = encode(session);
  cut_short.resize(cut_short.size() - 4);
  EXPECT_FALSE(decode_transport_id(cut_short, used));
  octets other_protocol(24);
  other_protocol[0] = 0x0b;
  EXPECT_FALSE(decode_transport_id(other_protocol, used));
}

RC_GTEST_PROP(transport_id, decoding_is_total, (octets from)) {
  if (!from.empty()) from[0] = *rc::gen::element<std::uint8_t>(0x05, 0x45, 0x06, 0x00, from[0]);
  std::size_t used = 0;
  const auto id = decode_transport_id(from, used);
  RC_ASSERT(used <= from.size());
  RC_ASSERT(id.has_value() == (used != 0) || !id.has_value());
}

}  // namespace
}  // namespace sluice::scsi
