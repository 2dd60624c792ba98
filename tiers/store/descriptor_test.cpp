#include "tiers/store/descriptor.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace sluice::store {
namespace {

TEST(status_of_errno, is_total_and_calls_the_unforeseen_a_medium_error) {
  EXPECT_EQ(status_of_errno(0), status::good);
  EXPECT_EQ(status_of_errno(ENOSPC), status::no_space);
  EXPECT_EQ(status_of_errno(EDQUOT), status::no_space);
  EXPECT_EQ(status_of_errno(EROFS), status::write_protected);
  EXPECT_EQ(status_of_errno(ENODEV), status::gone);
  EXPECT_EQ(status_of_errno(ETIMEDOUT), status::timeout);
  EXPECT_EQ(status_of_errno(ECANCELED), status::aborted);
  for (int number = 1; number < 134; ++number) EXPECT_NE(status_of_errno(number), status::good) << number;
  EXPECT_EQ(status_of_errno(EIO), status::medium_error);
  EXPECT_EQ(status_of_errno(4095), status::medium_error);
}

}  // namespace
}  // namespace sluice::store
