#include "gateway/relay/frames.hpp"

#include <gtest/gtest.h>

#include "gateway/scsi/outcome_builders.hpp"

namespace sluice::relay {
namespace {

TEST(frames, bodies_are_read_as_they_were_written) {
  const hello_body hello{version, 7, 3};
  EXPECT_EQ(decode_hello(encode(hello)).value(), hello);
  const open_body open{"disk", 1ull << 48 | 9, 4, {scsi::protocol::iscsi, "iqn.2026-11.org.example:a", "0x1"}, "main"};
  EXPECT_EQ(decode_open(encode(open)).value(), open);
  const command_body command{4, 77, 4096, port::unknown_length, 512, port::task_attribute::ordered, {0x28, 0, 1}};
  octets text;
  encode(command, text);
  EXPECT_EQ(decode_command(text).value(), command);
  EXPECT_EQ(decode_want(encode(want_body{1 << 20, 512})).value(), (want_body{1 << 20, 512}));
  EXPECT_EQ(decode_room(encode(room_body{65536})).value(), room_body{65536});
}

TEST(frames, an_outcome_keeps_all_of_its_sense) {
  ended_body ended;
  ended.outcome = scsi::outcomes::lba_out_of_range(4096);
  ended.outcome.sense.has_progress = true;
  ended.outcome.sense.progress = 9;
  ended.outcome.sense.has_field_pointer = true;
  ended.outcome.sense.field_byte = 17;
  ended.outcome.sense.field_bit = 3;
  ended.length_in = 512;
  ended.silenced = port::silence::preempted;
  const ended_body found = decode_ended(encode(ended)).value();
  EXPECT_EQ(found.outcome.status, ended.outcome.status);
  EXPECT_EQ(found.outcome.sense.key, ended.outcome.sense.key);
  EXPECT_EQ(found.outcome.sense.code, ended.outcome.sense.code);
  EXPECT_EQ(found.outcome.sense.has_information, ended.outcome.sense.has_information);
  EXPECT_EQ(found.outcome.sense.information, ended.outcome.sense.information);
  EXPECT_EQ(found.outcome.sense.progress, 9);
  EXPECT_EQ(found.outcome.sense.field_byte, 17);
  EXPECT_EQ(found.outcome.sense.field_bit, 3);
  EXPECT_EQ(found.length_in, 512u);
  EXPECT_EQ(found.silenced, port::silence::preempted);
  EXPECT_FALSE(found.not_here);
}

TEST(frames, what_is_cut_short_or_too_long_is_refused) {
  octets command;
  encode(command_body{4, 77, 4096, 0, 512, port::task_attribute::simple, {0x28, 0, 1}}, command);
  const auto each_prefix = [](const octets& text, const auto& decode) {
    for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(decode(const_bytes(text).first(size))) << size;
    octets longer = text;
    longer.push_back(0);
    EXPECT_FALSE(decode(longer));
  };
  each_prefix(command, decode_command);
  each_prefix(encode(hello_body{}), decode_hello);
  each_prefix(encode(open_body{"disk", 1, 1, {}, "main"}), decode_open);
  each_prefix(encode(want_body{0, 1}), decode_want);
  each_prefix(encode(ended_body{}), decode_ended);
}

TEST(frames, a_header_promises_no_more_than_there_may_be) {
  std::array<std::uint8_t, header_bytes> text{};
  const auto is_taken = [&](const header& h) {
    encode(h, text);
    return decode_header(text).has_value();
  };
  EXPECT_TRUE(is_taken({frame::data_in, 0, 1, max_payload}));
  EXPECT_FALSE(is_taken({frame::data_in, 0, 1, max_payload + 1}));
  EXPECT_FALSE(is_taken({frame::command, 40, 1, max_immediate + 1}));
  EXPECT_FALSE(is_taken({frame::want, 12, 1, 1})) << "it has no payload";
  EXPECT_FALSE(is_taken({frame::hello, max_body + 1, 0, 0}));
  EXPECT_FALSE(is_taken({static_cast<frame>(0), 0, 0, 0}));
  EXPECT_FALSE(is_taken({static_cast<frame>(200), 0, 0, 0}));
}

}  // namespace
}  // namespace sluice::relay
