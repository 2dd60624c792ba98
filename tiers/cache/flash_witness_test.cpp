#include "tiers/cache/flash_witness.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "tiers/ram/ram_store.hpp"

/// Which flash the medium names, whatever the order of the calls that tell it.
namespace sluice::cache {
namespace {

using testing::HasSubstr;

/// A book that somebody may tear out of the hand.
class test_book final : public store::witness_book {
 public:
  result<std::uint64_t> read() override { return flash; }
  result<void> write(std::uint64_t wanted) override {
    if (full) return fail(errc::no_space, "it is full");
    flash = wanted;
    return {};
  }
  std::uint64_t flash = 0;
  bool full = false;
};

class flash_witness_test : public testing::Test {
 protected:
  flash_witness_test() { medium_->keep_witness_in(book_); }
  void make_calls() {
    for (const auto& call : std::exchange(calls_, {})) call();
  }
  void forget_aside() {
    witness_.forget_aside([this](bool forgotten) { answers_.push_back(forgotten); });
  }

  std::shared_ptr<store::store> medium_ = *ram::ram_store::make(1 * mib);
  std::shared_ptr<test_book> book_ = std::make_shared<test_book>();
  std::vector<std::function<void()>> calls_;
  flash_witness witness_{medium_, [this](std::function<void()> call) { calls_.push_back(std::move(call)); }};
  std::vector<bool> answers_;
};

TEST_F(flash_witness_test, names_the_flash_that_is_told_of_all_writes) {
  EXPECT_EQ(witness_.confirm(7), false) << "nobody said so yet";
  witness_.name_aside(7);
  EXPECT_EQ(book_->flash, 0U) << "loops do not wait for it";
  make_calls();
  EXPECT_EQ(book_->flash, 7U);
  EXPECT_EQ(flash_witness(medium_, {}).confirm(7), true);
  EXPECT_EQ(book_->flash, 7U);
}

TEST_F(flash_witness_test, believes_no_other_and_then_none) {
  for (const std::uint64_t other : {std::uint64_t{8}, std::uint64_t{0}}) {
    book_->flash = 7;
    EXPECT_EQ(witness_.confirm(other), false);
    EXPECT_EQ(witness_.confirm(7), false) << "it is told of nothing since";
  }
}

TEST_F(flash_witness_test, refuses_what_the_medium_cannot_be_told) {
  book_->flash = 7;
  book_->full = true;
  EXPECT_EQ(witness_.confirm(7), true);
  const auto refused = witness_.confirm(8);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("it is full"));
}

TEST_F(flash_witness_test, a_name_does_not_overtake_that_it_is_forgotten) {
  witness_.name_aside(7);
  forget_aside();
  std::swap(calls_[0], calls_[1]);
  make_calls();
  EXPECT_EQ(book_->flash, 0U);
  EXPECT_EQ(answers_, std::vector{true});
}

TEST_F(flash_witness_test, what_was_named_since_stays) {
  witness_.name_aside(7);
  make_calls();
  forget_aside();
  witness_.name_aside(8);
  std::swap(calls_[0], calls_[1]);
  make_calls();
  EXPECT_EQ(book_->flash, 8U);
  book_->flash = 9;  // another cache over the medium
  EXPECT_TRUE(witness_.forget());
  EXPECT_EQ(book_->flash, 9U);
}

TEST_F(flash_witness_test, knows_that_the_medium_could_not_be_told_and_tells_it_later) {
  witness_.name_aside(7);
  make_calls();
  book_->full = true;
  forget_aside();
  make_calls();
  EXPECT_EQ(answers_, std::vector{false});
  EXPECT_FALSE(witness_.forget());
  book_->full = false;
  EXPECT_TRUE(witness_.forget());
  EXPECT_EQ(book_->flash, 0U);
}

TEST(flash_witness, over_a_medium_without_a_place_for_it_no_flash_is_believed) {
  const std::shared_ptr<store::store> medium = *ram::ram_store::make(1 * mib);
  flash_witness witness(medium, [](const std::function<void()>& call) { call(); });
  EXPECT_EQ(witness.confirm(7), false);
  witness.name_aside(7);
  EXPECT_EQ(witness.confirm(7), false);
  EXPECT_TRUE(witness.forget());
}

}  // namespace
}  // namespace sluice::cache
