#include "gateway/agreement/codec.hpp"

#include <gtest/gtest.h>

namespace sluice::agreement {
namespace {

agreed something() {
  agreed a;
  a.epoch = 17;
  a.serial = "0123456789abcdef0123456789abcdef";
  a.mode.task_aborted_status = true;
  a.saved_mode.emplace().write_cache = false;
  const reservations::i_t who{{scsi::protocol::iscsi, "iqn.2026-11.org.example:a", "0x000000000001"}, 3};
  a.reservations.registrants = {{who, 5}};
  a.reservations.type = reservations::type::exclusive_access;
  a.reservations.holder = who;
  a.reservations.generation = 9;
  a.reserve_holder = global_id(3, 4);
  a.stopped = true;
  a.prevents_removal = {1, 2};
  a.members = {{0, 1}, {3, UINT64_MAX}};
  a.ports[3] = {{.number = 2, .state = scsi::asymmetric_access::standby, .preferred = true, .ports = {7, 8}}};
  a.owned = ownership{3, 0, 12};
  a.events.push_back({16, 1, 2, {{{who, 0}, 0x2a05}}, {}});
  a.events.push_back(
      {17, 0, 0, {}, {{{std::nullopt, 9}, abort_manner::by_other, port::silence::cleared, 9, 1, 0x2f00}}});
  return a;
}

TEST(codec, brings_back_what_was_agreed) {
  for (const agreed& each : {agreed{}, something()}) {
    const auto again = decode(encode(each), each.epoch);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(*again, each);
  }
}

TEST(codec, tells_each_damage) {
  const std::string whole = encode(something());
  for (std::size_t length = 0; length < whole.size(); ++length) EXPECT_FALSE(decode(whole.substr(0, length), 17));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bent = whole;
    bent[at] = static_cast<char>(bent[at] ^ 0x10);
    const auto read = decode(bent, 17);
    ASSERT_FALSE(read) << at;
    EXPECT_EQ(read.error().code, errc::corrupt);
    EXPECT_GT(read.error().message.size(), 20u);
  }
  EXPECT_FALSE(decode(whole + "x", 17));
}

TEST(codec, finds_the_identity_whatever_became_of_the_rest) {
  std::string bent = encode(something());
  bent[bent.size() - 10] ^= 1;
  EXPECT_FALSE(decode(bent, 17));
  EXPECT_EQ(*decode_identity(bent), something().serial);
  bent[12] ^= 1;
  EXPECT_FALSE(decode_identity(bent));
  EXPECT_FALSE(decode_identity(encode(agreed{}))) << "none was made";
  EXPECT_FALSE(decode_identity({}));
}

}  // namespace
}  // namespace sluice::agreement
