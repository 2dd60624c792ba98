#include "ceph/rbd/write_account.hpp"

#include <gtest/gtest.h>

namespace sluice::rbd {
namespace {

TEST(write_account, nothing_is_to_be_flushed_of_what_was_only_read) {
  const write_account account;
  EXPECT_TRUE(account.is_flushed());
}

TEST(write_account, a_flush_covers_what_was_answered_before_it_began) {
  write_account account;
  account.note_write();
  const std::uint64_t began = account.writes();
  EXPECT_FALSE(account.is_flushed()) << "one that is under way, or fails, proves nothing";
  account.note_write();  // meanwhile
  account.note_flush(began);
  EXPECT_FALSE(account.is_flushed());
  account.note_flush(account.writes());
  EXPECT_TRUE(account.is_flushed());
}

TEST(write_account, flushes_may_end_in_any_order) {
  write_account account;
  account.note_write();
  const std::uint64_t first = account.writes();
  account.note_write();
  account.note_flush(account.writes());
  account.note_flush(first);
  EXPECT_TRUE(account.is_flushed());
}

}  // namespace
}  // namespace sluice::rbd
