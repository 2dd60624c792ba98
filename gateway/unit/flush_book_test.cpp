#include "gateway/unit/flush_book.hpp"

#include <gtest/gtest.h>

namespace sluice::unit {
namespace {

TEST(flush_book, a_good_flush_covers_what_was_acknowledged_before_it_began) {
  flush_book book;
  const std::uint64_t before = book.mark();
  const std::uint64_t flush = book.begin();
  const std::uint64_t meanwhile = book.mark();
  book.end(flush, flush_end::good);
  book.end(book.begin(), flush_end::failed);
  const auto failure = book.failed_since(0);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->number, 1u);
  EXPECT_LE(before, failure->durable);
  EXPECT_GT(meanwhile, failure->durable);
}

TEST(flush_book, all_is_durable_when_a_good_flush_covers_the_newest_write) {
  flush_book book;
  EXPECT_TRUE(book.is_all_durable()) << "nothing was written";
  book.mark();
  EXPECT_FALSE(book.is_all_durable());
  const std::uint64_t flush = book.begin();
  EXPECT_FALSE(book.is_all_durable());
  book.end(flush, flush_end::good);
  EXPECT_TRUE(book.is_all_durable());
  const std::uint64_t overtaken = book.begin();
  book.mark();
  book.end(overtaken, flush_end::good);
  EXPECT_FALSE(book.is_all_durable());
  book.end(book.begin(), flush_end::failed);
  EXPECT_FALSE(book.is_all_durable());
  book.end(book.begin(), flush_end::good);
  EXPECT_TRUE(book.is_all_durable());
}

TEST(flush_book, a_good_flush_proves_nothing_beside_one_that_fails) {
  flush_book book;
  const std::uint64_t mark = book.mark();
  const std::uint64_t first = book.begin();
  const std::uint64_t second = book.begin();
  book.end(second, flush_end::good);
  book.end(first, flush_end::failed);
  EXPECT_GT(mark, book.failed_since(0)->durable);
}

TEST(flush_book, flushes_beside_each_other_prove_each_other_when_all_are_good) {
  flush_book book;
  const std::uint64_t first = book.begin();
  const std::uint64_t mark = book.mark();
  const std::uint64_t second = book.begin();
  book.end(second, flush_end::good);
  const std::uint64_t third = book.begin();  // began later: what it meets is not the second's
  book.end(first, flush_end::good);
  book.end(third, flush_end::failed);
  EXPECT_LE(mark, book.failed_since(0)->durable);
}

TEST(flush_book, one_that_was_not_done_neither_proves_nor_loses) {
  flush_book book;
  const std::uint64_t mark = book.mark();
  book.end(book.begin(), flush_end::not_done);
  EXPECT_FALSE(book.failed_since(0));
  book.end(book.begin(), flush_end::failed);
  EXPECT_GT(mark, book.failed_since(0)->durable);
}

TEST(flush_book, who_looks_late_learns_of_the_first_failure_he_has_not_seen) {
  flush_book book;
  const std::uint64_t mark = book.mark();
  book.end(book.begin(), flush_end::failed);
  book.end(book.begin(), flush_end::good);
  book.end(book.begin(), flush_end::failed);
  EXPECT_GT(mark, book.failed_since(0)->durable);
  EXPECT_EQ(book.failed_since(0)->number, 2u);
  EXPECT_LE(mark, book.failed_since(1)->durable);
  EXPECT_FALSE(book.failed_since(2));
  for (int i = 0; i < 200; ++i) book.end(book.begin(), flush_end::failed);
  EXPECT_EQ(book.failed_since(1)->durable, 0u) << "too long ago to tell: everybody hears of it";
}

}  // namespace
}  // namespace sluice::unit
