#include "fabrics/iser/header.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "actors/wire/big_endian.hpp"

namespace sluice::iser {
namespace {

using octets = std::vector<std::uint8_t>;

octets header(std::uint8_t first, std::size_t behind = 48) {
  octets made(header_bytes + behind);
  made[0] = first;
  wire::store32(made, 4, 0x11121314);
  wire::store64(made, 8, 0x2122232425262728);
  wire::store32(made, 16, 0x31323334);
  wire::store64(made, 20, 0x4142434445464748);
  return made;
}

TEST(iser_header, names_the_buffers_that_its_flags_say) {
  const octets both = header(0x1c), none = header(0x10), read = header(0x14);
  const message m = decode(both).value();
  EXPECT_EQ(m.what, message::kind::pdu);
  EXPECT_TRUE(m.buffers.out.is_there);
  EXPECT_EQ(m.buffers.out.tag, 0x11121314u);
  EXPECT_EQ(m.buffers.out.offset, 0x2122232425262728u);
  EXPECT_TRUE(m.buffers.in.is_there);
  EXPECT_EQ(m.buffers.in.tag, 0x31323334u);
  EXPECT_EQ(m.buffers.in.offset, 0x4142434445464748u);
  EXPECT_EQ(m.pdu.size(), 48u);
  EXPECT_FALSE(decode(none).value().buffers.out.is_there || decode(none).value().buffers.in.is_there);
  EXPECT_FALSE(decode(read).value().buffers.out.is_there);
  EXPECT_TRUE(decode(read).value().buffers.in.is_there);
}
TEST(iser_header, what_no_initiator_sends_is_refused) {
  EXPECT_FALSE(decode(octets(27, 0x10)));
  EXPECT_FALSE(decode(header(0x30)));
  EXPECT_FALSE(decode(header(0x00)));
  EXPECT_FALSE(decode({}));
}
TEST(iser_header, a_hello_of_other_versions_is_rejected) {
  octets hello = header(0x20, 0);
  hello[1] = 0x11;
  EXPECT_EQ(hello_reply(decode(hello).value())[0], 0x30);
  hello[1] = 0x32;
  EXPECT_EQ(hello_reply(decode(hello).value())[0], 0x31);
}
TEST(iser_header, one_that_goes_out_names_no_buffer) {
  octets made(header_bytes, 0xff);
  encode_header(std::span<std::uint8_t, header_bytes>(made.data(), header_bytes));
  octets expected(header_bytes);
  expected[0] = 0x10;
  EXPECT_EQ(made, expected);
}
TEST(iser_abilities, are_what_is_not_denied) {
  EXPECT_EQ(encode(abilities{true, true})[0], 0x00);
  EXPECT_EQ(encode(abilities{false, true})[0], 0x80);
  EXPECT_EQ(encode(abilities{false, false})[0], 0xc0);
  const octets kernel{0x80, 0, 0, 0, 0, 0, 0, 0}, nothing;
  EXPECT_TRUE(decode_abilities(kernel).send_with_invalidate);
  EXPECT_FALSE(decode_abilities(kernel).zero_based);
  EXPECT_FALSE(decode_abilities(nothing).send_with_invalidate) << "who says nothing is not iSER's";
}

}  // namespace
}  // namespace sluice::iser
