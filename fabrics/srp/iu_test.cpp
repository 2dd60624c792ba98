#include "fabrics/srp/iu.hpp"

#include <gtest/gtest.h>

#include "actors/wire/big_endian.hpp"

namespace sluice::srp {
namespace {

using octets = std::vector<std::uint8_t>;

port_identifier identifier(std::uint8_t first) {
  port_identifier id{};
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::uint8_t>(first + i);
  return id;
}

TEST(login_iu, a_request_has_its_fields_where_the_initiator_puts_them) {
  octets from(56);
  wire::store64(from, 0, 0x1122334455667788);
  wire::store16(from, 8, 0x6);
  from[10] = 0x81;  // a further channel, immediate data
  wire::store32(from, 12, 8260);
  for (unsigned i = 0; i < 16; ++i) {
    from[16 + i] = static_cast<std::uint8_t>(0x10 + i);
    from[32 + i] = static_cast<std::uint8_t>(0x80 + i);
  }
  wire::store16(from, 48, 68);
  const login_request r = decode_login(from).value();
  EXPECT_EQ(r.tag, 0x1122334455667788u);
  EXPECT_EQ(r.formats, direct_format | indirect_format);
  EXPECT_EQ(r.action, multi_channel::multiple);
  EXPECT_TRUE(r.immediate);
  EXPECT_EQ(r.max_initiator_iu_bytes, 8260u);
  EXPECT_EQ(r.initiator, identifier(0x10));
  EXPECT_EQ(r.target, identifier(0x80));
  EXPECT_EQ(r.immediate_offset, 68);
  const auto again = encode(r);
  EXPECT_EQ(octets(again.begin(), again.end()), from);
}

TEST(login_iu, what_is_no_request_is_refused) {
  octets from(56);
  EXPECT_TRUE(decode_login(from));
  EXPECT_FALSE(decode_login(const_bytes(from).first(55)));
  from.resize(92);  // padded by the connection manager
  EXPECT_TRUE(decode_login(from));
  from[11] = 0xc0;
  EXPECT_FALSE(decode_login(from));
  from[11] = 0;
  from[10] = 2;
  EXPECT_FALSE(decode_login(from));
}

TEST(login_iu, answers_have_their_lengths_and_codes) {
  login_response said;
  said.tag = 5;
  said.request_limit_delta = 64;
  said.max_initiator_iu_bytes = 8704;
  said.max_target_iu_bytes = 320;
  said.channels = login_response::others::maintained;
  said.immediate = true;
  const auto sent = encode(said);
  EXPECT_EQ(sent.size(), 52u);
  EXPECT_EQ(sent[0], 0xc0);
  EXPECT_EQ(wire::load32(sent, 4), 64u);
  EXPECT_EQ(sent[26], 0x82);
  const login_response got = decode_login_response(sent).value();
  EXPECT_EQ(got.max_target_iu_bytes, 320u);
  EXPECT_TRUE(got.immediate);
  const auto refused = encode(login_rejection{5, login_refusal::channel_limit_reached});
  EXPECT_EQ(refused.size(), 32u);
  EXPECT_EQ(refused[0], 0xc2);
  EXPECT_EQ(wire::load32(refused, 4), 0x10006u);
  EXPECT_EQ(decode_login_rejection(refused).value().reason, login_refusal::channel_limit_reached);
}

TEST(identifier, is_read_as_people_write_it) {
  const std::string plain = "0002c90300a1b2c40002c90300a1b2c3";
  EXPECT_EQ(to_text(parse_identifier(plain).value()), plain);
  EXPECT_EQ(to_text(parse_identifier("0x0002C90300A1B2C40002c90300a1b2c3").value()), plain);
  EXPECT_EQ(to_text(parse_identifier("0002c90300a1b2c4:0002c90300a1b2c3").value()), plain);
  for (const char* wrong :
       {"", "0x", "0002c903", "0002c90300a1b2c40002c90300a1b2cg", "0002c90300a1b2c40002c90300a1b2c300"})
    EXPECT_FALSE(parse_identifier(wrong)) << wrong;
}

// -- commands --------------------------------------------------------------------------------------------------------

octets plain_command(std::uint8_t formats, const octets& rest) {
  octets iu(48);
  iu[0] = 0x02;
  iu[5] = formats;
  wire::store64(iu, 8, 0xabcdef);
  wire::store64(iu, 20, 0x0003000000000000);
  iu[29] = 2;
  iu[32] = 0x28;
  iu.insert(iu.end(), rest.begin(), rest.end());
  return iu;
}
octets descriptor(std::uint64_t address, std::uint32_t key, std::uint32_t length) {
  octets to(16);
  wire::store64(to, 0, address);
  wire::store32(to, 8, key);
  wire::store32(to, 12, length);
  return to;
}
octets joined(std::initializer_list<octets> parts) {
  octets all;
  for (const octets& each : parts) all.insert(all.end(), each.begin(), each.end());
  return all;
}
octets number(std::uint32_t value) {
  octets to(4);
  wire::store32(to, 0, value);
  return to;
}

TEST(command_iu, a_direct_buffer_is_one_piece) {
  const octets iu = plain_command(0x01, descriptor(0x1000, 7, 512));
  const command c = decode_command(iu, 0).value();
  EXPECT_EQ(c.tag, 0xabcdefu);
  EXPECT_EQ(port::lun_number(c.lun), 3);
  EXPECT_EQ(c.attribute, port::task_attribute::ordered);
  EXPECT_EQ(c.cdb[0], 0x28);
  EXPECT_EQ(c.in.length, 512u);
  EXPECT_EQ(c.in.pieces, (std::vector<memory_descriptor>{{0x1000, 7, 512}}));
  EXPECT_EQ(c.out.length, 0u);
  EXPECT_EQ(encode(c, 0), iu);
  EXPECT_FALSE(decode_command(const_bytes(iu).first(63), 0));
  EXPECT_FALSE(decode_command(const_bytes(iu).first(47), 0));
}

TEST(command_iu, an_indirect_buffer_is_a_list) {
  octets iu = plain_command(
      0x20, joined({descriptor(0x9000, 9, 32), number(1536), descriptor(0x1000, 7, 512), descriptor(0x4000, 8, 1024)}));
  iu[6] = 2;
  const command c = decode_command(iu, 0).value();
  EXPECT_EQ(c.out.length, 1536u);
  EXPECT_EQ(c.out.pieces.size(), 2u);
  EXPECT_FALSE(c.out.external);
  iu[6] = 3;
  EXPECT_FALSE(decode_command(iu, 0)) << "more than the table has";
  iu[6] = 1;
  const command part = decode_command(iu, 0).value();
  EXPECT_TRUE(part.out.external);
  EXPECT_EQ(part.out.table, (memory_descriptor{0x9000, 9, 32}));
  iu[6] = 2;
  wire::store32(iu, 64, 1537);
  EXPECT_FALSE(decode_command(iu, 0)) << "a length that the pieces do not have";
  wire::store32(iu, 60, 33);
  EXPECT_FALSE(decode_command(iu, 0)) << "a table of an odd length";
  wire::store32(iu, 60, 16 * (max_pieces + 1));
  EXPECT_FALSE(decode_command(iu, 0)) << "a table beyond all measure";
}

TEST(command_iu, a_table_must_have_the_length_that_was_announced) {
  const octets table = joined({descriptor(0x1000, 7, 512), descriptor(0x4000, 8, 1024)});
  EXPECT_EQ(decode_table(table, 1536).value().size(), 2u);
  EXPECT_FALSE(decode_table(table, 1535));
  EXPECT_FALSE(decode_table({}, 1));
}

TEST(command_iu, immediate_data_stand_where_the_login_said) {
  octets iu = plain_command(0x30, number(5));
  iu.resize(68);
  for (std::uint8_t i = 1; i <= 5; ++i) iu.push_back(i);
  const command c = decode_command(iu, 68).value();
  EXPECT_TRUE(c.out.is_immediate);
  EXPECT_EQ(octets(c.out.immediate.begin(), c.out.immediate.end()), (octets{1, 2, 3, 4, 5}));
  EXPECT_EQ(encode(c, 68), iu);
  EXPECT_FALSE(decode_command(iu, 0)) << "not agreed on";
  EXPECT_FALSE(decode_command(iu, 70)) << "beyond the IU";
  EXPECT_FALSE(decode_command(iu, 50)) << "among the descriptors";
  wire::store32(iu, 48, 6);
  EXPECT_FALSE(decode_command(iu, 68));
  wire::store32(iu, 48, UINT32_MAX);
  EXPECT_FALSE(decode_command(iu, 68));
  iu[5] = 0x03;
  EXPECT_FALSE(decode_command(iu, 68)) << "data-in cannot be immediate";
}

TEST(command_iu, a_long_cdb_stands_before_the_descriptors) {
  octets iu = plain_command(0x01, joined({octets(16, 0x55), descriptor(1, 2, 3)}));
  iu[31] = 16 | 3;  // the lower two bits are reserved
  const command c = decode_command(iu, 0).value();
  EXPECT_EQ(c.additional_cdb.size(), 16u);
  EXPECT_EQ(c.in.length, 3u);
  iu[31] = 0xfc;
  EXPECT_FALSE(decode_command(iu, 0));
}

TEST(command_iu, both_directions_have_descriptors_data_out_first) {
  const octets iu = plain_command(0x11, joined({descriptor(0x1000, 7, 512), descriptor(0x2000, 8, 1024)}));
  const command c = decode_command(iu, 0).value();
  EXPECT_EQ(c.out.length, 512u);
  EXPECT_EQ(c.in.length, 1024u);
  for (const std::uint8_t unknown : {0x04, 0x40, 0xf0}) {
    octets other = iu;
    other[5] = unknown;
    EXPECT_FALSE(decode_command(other, 68));
  }
}

// -- answers ---------------------------------------------------------------------------------------------------------

TEST(response_iu, sense_stands_behind_the_code) {
  const octets sense{0x70, 0, 5, 0};
  response r;
  r.tag = 0xabcdef;
  r.request_limit_delta = 3;
  r.status = scsi::status::check_condition;
  r.in = {false, true, 512};
  r.sense = sense;
  std::array<std::uint8_t, 320> to{};
  EXPECT_EQ(encode(r, to), 40u);
  EXPECT_EQ(to[0], 0xc1);
  EXPECT_EQ(to[18], 0x22);
  EXPECT_EQ(wire::load32(to, 24), 512u);
  EXPECT_EQ(wire::load32(to, 28), 4u);
  const response got = decode_response(const_bytes(to).first(40)).value();
  EXPECT_EQ(got.request_limit_delta, 3);
  EXPECT_TRUE(got.in.under);
  EXPECT_EQ(octets(got.sense.begin(), got.sense.end()), sense);
  EXPECT_FALSE(decode_response(const_bytes(to).first(39)));

  response managed;
  managed.has_code = true;
  managed.code = response_code::not_supported;
  EXPECT_EQ(encode(managed, to), 40u);
  EXPECT_EQ(to[18], 0x01);
  EXPECT_EQ(wire::load32(to, 32), 4u);
  EXPECT_EQ(to[39], 4);
  EXPECT_EQ(decode_response(const_bytes(to).first(40)).value().code, response_code::not_supported);
}

TEST(response_iu, what_the_target_asks_has_a_limit_too) {
  std::array<std::uint8_t, 320> to{};
  EXPECT_EQ(encode(credit_request{9, 4}, to), 16u);
  EXPECT_EQ(to[0], 0x81);
  EXPECT_EQ(request_limit_delta_of(to), 4);
  EXPECT_EQ(tag_of(to), 9u);
  const octets sense(18, 0x70);
  event_request event;
  event.lun = port::lun_address(2);
  event.sense = sense;
  const std::size_t bytes_sent = encode(event, to);
  EXPECT_EQ(bytes_sent, 36u + 18);
  EXPECT_EQ(decode_event(const_bytes(to).first(bytes_sent)).value().lun, port::lun_address(2));
  EXPECT_FALSE(decode_event(const_bytes(to).first(bytes_sent - 1)));
}

TEST(management_iu, names_a_function_and_a_task) {
  const task_management m{1, port::lun_address(4), 0x08, 0x77};
  const octets iu = encode(m);
  EXPECT_EQ(iu.size(), 48u);
  EXPECT_EQ(iu[30], 0x08);
  const task_management got = decode_task_management(iu).value();
  EXPECT_EQ(got.referenced_tag, 0x77u);
  EXPECT_EQ(got.lun, m.lun);
  EXPECT_FALSE(decode_task_management(const_bytes(iu).first(47)));
}

}  // namespace
}  // namespace sluice::srp
