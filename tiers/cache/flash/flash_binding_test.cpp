#include "tiers/cache/flash/flash_binding.hpp"

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
class test_book final : public store::binding_book {
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

class flash_binding_test : public testing::Test {
 protected:
  flash_binding_test() { medium_->keep_binding_in(book_); }
  void make_calls() {
    for (const auto& call : std::exchange(calls_, {})) call();
  }
  void forget_off_loop() {
    binding_.forget_off_loop([this](bool forgotten) { answers_.push_back(forgotten); });
  }

  std::shared_ptr<store::store> medium_ = *ram::ram_store::make(1 * mib);
  std::shared_ptr<test_book> book_ = std::make_shared<test_book>();
  std::vector<std::function<void()>> calls_;
  flash_binding binding_{medium_, [this](std::function<void()> call) { calls_.push_back(std::move(call)); }};
  std::vector<bool> answers_;
};

TEST_F(flash_binding_test, names_the_flash_that_is_told_of_all_writes) {
  EXPECT_EQ(binding_.confirm(7), false) << "nobody said so yet";
  binding_.name_off_loop(7);
  EXPECT_EQ(book_->flash, 0U) << "loops do not wait for it";
  make_calls();
  EXPECT_EQ(book_->flash, 7U);
  EXPECT_EQ(flash_binding(medium_, {}).confirm(7), true);
  EXPECT_EQ(book_->flash, 7U);
}

TEST_F(flash_binding_test, believes_no_other_and_then_none) {
  for (const std::uint64_t other : {std::uint64_t{8}, std::uint64_t{0}}) {
    book_->flash = 7;
    EXPECT_EQ(binding_.confirm(other), false);
    EXPECT_EQ(binding_.confirm(7), false) << "it is told of nothing since";
  }
}

TEST_F(flash_binding_test, refuses_what_the_medium_cannot_be_told) {
  book_->flash = 7;
  book_->full = true;
  EXPECT_EQ(binding_.confirm(7), true);
  const auto refused = binding_.confirm(8);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("it is full"));
}

TEST_F(flash_binding_test, a_name_does_not_overtake_that_it_is_forgotten) {
  binding_.name_off_loop(7);
  forget_off_loop();
  std::swap(calls_[0], calls_[1]);
  make_calls();
  EXPECT_EQ(book_->flash, 0U);
  EXPECT_EQ(answers_, std::vector{true});
}

TEST_F(flash_binding_test, what_was_named_since_stays) {
  binding_.name_off_loop(7);
  make_calls();
  forget_off_loop();
  binding_.name_off_loop(8);
  std::swap(calls_[0], calls_[1]);
  make_calls();
  EXPECT_EQ(book_->flash, 8U);
  book_->flash = 9;  // another cache over the medium
  EXPECT_TRUE(binding_.forget());
  EXPECT_EQ(book_->flash, 9U);
}

TEST_F(flash_binding_test, knows_that_the_medium_could_not_be_told_and_tells_it_later) {
  binding_.name_off_loop(7);
  make_calls();
  book_->full = true;
  forget_off_loop();
  make_calls();
  EXPECT_EQ(answers_, std::vector{false});
  EXPECT_FALSE(binding_.forget());
  book_->full = false;
  EXPECT_TRUE(binding_.forget());
  EXPECT_EQ(book_->flash, 0U);
}

TEST(flash_binding, over_a_medium_without_a_place_for_it_no_flash_is_believed) {
  const std::shared_ptr<store::store> medium = *ram::ram_store::make(1 * mib);
  flash_binding binding(medium, [](const std::function<void()>& call) { call(); });
  EXPECT_EQ(binding.confirm(7), false);
  binding.name_off_loop(7);
  EXPECT_EQ(binding.confirm(7), false);
  EXPECT_TRUE(binding.forget());
}

}  // namespace
}  // namespace sluice::cache
