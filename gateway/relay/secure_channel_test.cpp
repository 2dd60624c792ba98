#include "gateway/relay/secure_channel.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace sluice::relay {
namespace {

using octets = std::vector<std::uint8_t>;
using side = secure_channel::side;

secret of(std::uint8_t value) {
  secret made;
  made.octets.fill(value);
  return made;
}

/// Brings `from`'s output to `to`, which is told by `then` to look at it.
template <class Then>
void carry(secure_channel& from, secure_channel& to, Then then) {
  const octets text = std::exchange(from.output(), {});
  if (text.empty()) return;
  to.feed(text);
  then();
}

/// Whether both are through, or what the first that is not says.
result<bool> shake_hands(secure_channel& asks, secure_channel& answers) {
  result<bool> one = asks.advance(), other = false;
  for (int i = 0; i < 10 && one && other && !(*one && *other); ++i) {
    carry(asks, answers, [&] { other = answers.advance(); });
    if (!other) return other;
    carry(answers, asks, [&] { one = asks.advance(); });
  }
  return one ? other : one;
}

TEST(secure_channel, two_with_one_secret_understand_each_other) {
  secure_channel asks(side::asks, of(1)), answers(side::answers, of(1));
  ASSERT_TRUE(shake_hands(asks, answers).value());
  octets said(100'000);
  std::iota(said.begin(), said.end(), std::uint8_t{0});
  ASSERT_TRUE(asks.write(said));
  octets heard;
  carry(asks, answers, [&] {
    octets piece(7777);
    for (;;) {
      const auto got = answers.read(piece);
      ASSERT_TRUE(got);
      if (*got == 0) return;
      heard.insert(heard.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(*got));
    }
  });
  EXPECT_EQ(heard, said);
}

TEST(secure_channel, what_is_sent_cannot_be_read_on_the_way) {
  secure_channel asks(side::asks, of(1)), answers(side::answers, of(1));
  ASSERT_TRUE(shake_hands(asks, answers).value());
  const octets said(4096, 'x');
  ASSERT_TRUE(asks.write(said));
  const std::string seen(asks.output().begin(), asks.output().end());
  EXPECT_EQ(seen.find("xxxxxxxx"), std::string::npos);
}

TEST(secure_channel, another_secret_is_refused) {
  secure_channel asks(side::asks, of(1)), answers(side::answers, of(2));
  const auto how = shake_hands(asks, answers);
  ASSERT_FALSE(how);
  EXPECT_EQ(how.error().code, errc::permission);
}

TEST(secure_channel, anything_else_is_refused) {
  secure_channel answers(side::answers, of(1));
  const octets text(200, 'G');
  answers.feed(text);
  EXPECT_FALSE(answers.advance());
}

TEST(secure_channel, a_record_that_was_changed_is_refused) {
  secure_channel asks(side::asks, of(1)), answers(side::answers, of(1));
  ASSERT_TRUE(shake_hands(asks, answers).value());
  ASSERT_TRUE(asks.write(octets(512, 'x')));
  asks.output().back() ^= 1;
  octets piece(512);
  carry(asks, answers, [&] { EXPECT_FALSE(answers.read(piece)); });
}

TEST(secret, is_64_digits) {
  const secret drawn = secret::draw();
  EXPECT_EQ(secret::parse(drawn.to_string()).value(), drawn);
  EXPECT_NE(secret::draw(), drawn);
  EXPECT_FALSE(secret::parse(""));
  EXPECT_FALSE(secret::parse(std::string(63, 'a')));
  EXPECT_FALSE(secret::parse(std::string(64, 'g')));
}

}  // namespace
}  // namespace sluice::relay
