#include "ceph/shared/configuration_record.hpp"

#include <gtest/gtest.h>

namespace sluice::shared {
namespace {

const state::configuration_version version{
    7, 1'800'000'000, 99, "gw-a", "apply of /etc/sluice/shared.toml", std::string(64, 'a'), 1234};
const state::configuration_proposal proposal{99, 6, 1'800'000'000, "gw-a", "rollback to version 3", true};
const state::configuration_answer answer{99, true, std::string(100'000, 'p'), "a sentence"};
const state::configuration_state gateway_state{7, "store.x: cannot be opened"};

TEST(configuration_record, is_read_as_it_was_written) {
  EXPECT_EQ(decode_version(encode(version)).value(), version);
  EXPECT_EQ(decode_proposal(encode(proposal)).value(), proposal);
  EXPECT_EQ(decode_answer(encode(answer)).value(), answer);
  EXPECT_EQ(decode_state(encode(gateway_state)).value(), gateway_state);
}

TEST(configuration_record, is_damaged_by_each_flipped_bit) {
  const std::string good = encode(version);
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 1);
    EXPECT_EQ(decode_version(bad).error().code, errc::corrupt) << at;
    EXPECT_FALSE(decode_version(std::string_view(good).substr(0, at))) << at;
  }
  EXPECT_FALSE(decode_version(good + "x"));
}

TEST(configuration_record, of_one_kind_is_none_of_another) {
  EXPECT_FALSE(decode_state(encode(version)));
  EXPECT_FALSE(decode_version(encode(gateway_state)));
  EXPECT_FALSE(decode_answer(encode(proposal)));
  EXPECT_FALSE(decode_proposal(encode(answer)));
}

TEST(configuration_record, cuts_sentences_that_are_too_long) {
  const state::configuration_state wordy{1, std::string(100'000, 's')};
  EXPECT_EQ(decode_state(encode(wordy)).value().problem.size(), UINT16_MAX);
}

TEST(configuration_record, has_the_usual_digest) {
  EXPECT_EQ(digest_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace sluice::shared
