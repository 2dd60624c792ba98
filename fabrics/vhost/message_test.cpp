#include "fabrics/vhost/message.hpp"

#include <gtest/gtest.h>

#include "actors/wire/little_endian.hpp"
#include "fabrics/vhost/scsi_request.hpp"

namespace sluice::vhost {
namespace {

namespace le = wire::little;

std::vector<std::uint8_t> header(std::uint32_t what, std::uint32_t flags, std::uint32_t size) {
  std::vector<std::uint8_t> out(12);
  le::store32(out, 0, what);
  le::store32(out, 4, flags);
  le::store32(out, 8, size);
  return out;
}

}  // namespace

TEST(message, headers_are_checked) {
  const auto good = decode_header(header(5, 9, 40));
  ASSERT_TRUE(good);
  EXPECT_EQ(good->what, request::set_mem_table);
  EXPECT_TRUE(good->wants_reply);
  EXPECT_EQ(good->payload_bytes, 40u);
  EXPECT_FALSE(decode_header(header(5, 2, 40))) << "another version";
  EXPECT_FALSE(decode_header(header(5, 5, 40))) << "a reply";
  EXPECT_FALSE(decode_header(header(5, 1, 4097)));
  EXPECT_FALSE(decode_header(std::vector<std::uint8_t>(11)));
  EXPECT_STREQ(to_string(static_cast<request>(99)), "an unknown request");
}

TEST(message, payloads_have_their_length) {
  for (std::size_t size = 0; size < 64; ++size) {
    const std::vector<std::uint8_t> octets(size, 0);
    EXPECT_EQ(decode_u64(octets).has_value(), size == 8);
    EXPECT_EQ(decode_vring_state(octets).has_value(), size == 8);
    EXPECT_EQ(decode_vring_addresses(octets).has_value(), size == 40);
    EXPECT_EQ(decode_vring_descriptor(octets).has_value(), size == 8);
    EXPECT_EQ(decode_memory_table(octets).has_value(), size == 8);
    EXPECT_EQ(decode_single_region(octets).has_value(), size == 40);
    EXPECT_EQ(decode_log_place(octets).has_value(), size == 16);
    EXPECT_EQ(decode_inflight_place(octets).has_value(), size == 20 || size == 24);
  }
  std::vector<std::uint8_t> table(8 + 32 * 2);
  le::store32(table, 0, 2);
  le::store64(table, 8 + 32, 77);
  EXPECT_EQ(decode_memory_table(table)->at(1).guest_address, 77u);
  le::store32(table, 0, 0x80000002);
  EXPECT_FALSE(decode_memory_table(table));
}

TEST(message, a_descriptor_may_be_left_out) {
  std::vector<std::uint8_t> word(8);
  le::store64(word, 0, 0x103);
  EXPECT_EQ(decode_vring_descriptor(word)->index, 3u);
  EXPECT_FALSE(decode_vring_descriptor(word)->has_descriptor);
}

TEST(scsi_request, commands_are_taken_apart) {
  std::vector<std::uint8_t> octets(command_header::bytes);
  octets[0] = 1, octets[2] = 0x41, octets[3] = 0x02;
  le::store64(octets, 8, 0x1122334455667788);
  octets[16] = 1;
  octets[19] = 0x28;
  const command_header h = decode_command(octets);
  EXPECT_EQ(h.where->target, 0);
  EXPECT_EQ(port::lun_number(h.where->lun), 258);
  EXPECT_EQ(h.tag, 0x1122334455667788u);
  EXPECT_EQ(h.attribute, port::task_attribute::ordered);
  EXPECT_EQ(h.cdb_length(), 16u);
  octets[0] = 2;
  EXPECT_FALSE(decode_command(octets).where);
  octets[0] = 0xc1;
  EXPECT_TRUE(decode_command(octets).where);
}

TEST(scsi_request, a_lun_goes_there_and_back) {
  for (const std::uint16_t number : {0, 1, 255, 256, 16383}) {
    std::array<std::uint8_t, 8> eight{};
    encode_lun(port::lun_address(number), eight);
    EXPECT_EQ(port::lun_number(decode_lun(eight)->lun), number);
  }
}

TEST(scsi_request, control_requests_have_their_length) {
  for (std::size_t size = 0; size < 32; ++size)
    for (std::uint8_t type = 0; type < 5; ++type) {
      std::vector<std::uint8_t> octets(size, 0);
      if (size > 0) octets[0] = type;
      const std::size_t needs = type == 0 ? 24 : 16;
      EXPECT_EQ(decode_control(octets).has_value(), size >= needs && type < 3) << size << ' ' << int{type};
    }
}

}  // namespace sluice::vhost
