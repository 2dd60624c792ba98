#include "actors/wire/byte_record.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace sluice::wire {
namespace {

enum class colour : std::uint8_t { red, green, blue };

template <class Container>
void write_one_of_each(Container& into) {
  byte_writer to(into);
  to.template put<1>(7);
  to.template put<2>(0x1234);
  to.template put<8>(0x0102030405060708);
  to.put_text(std::string_view("name"));
  to.put_text(std::string_view());
  to.template put<1>(2);
  to.template put<1>(1);
}

TEST(byte_record, is_read_as_it_was_written_from_either_container) {
  std::string text;
  std::vector<std::uint8_t> octets;
  write_one_of_each(text);
  write_one_of_each(octets);
  EXPECT_TRUE(std::ranges::equal(as_bytes(text), const_bytes(octets)));
  byte_reader from(octets);
  EXPECT_EQ(from.take<1>(), 7U);
  EXPECT_EQ(from.take<2>(), 0x1234U);
  EXPECT_EQ(from.take<8>(), 0x0102030405060708U);
  EXPECT_EQ(as_text(from.take_text()), "name");
  EXPECT_TRUE(from.take_text().empty());
  EXPECT_EQ(from.take_one_of<colour>(3), colour::blue);
  EXPECT_FALSE(from.ends_well()) << "something is left";
  EXPECT_TRUE(from.take_flag());
  EXPECT_TRUE(from.ends_well());
}

TEST(byte_record, that_is_refused_or_cut_leaves_nothing_behind) {
  const std::vector<std::uint8_t> octets{3, 0, 9, 'a', 'b', 1};
  byte_reader wrong(octets);
  EXPECT_EQ(wrong.take_one_of<colour>(3), colour::red);
  EXPECT_FALSE(wrong.good());
  EXPECT_EQ(wrong.left(), 0U);
  EXPECT_EQ(wrong.take<1>(), 0U);
  byte_reader cut(octets);
  EXPECT_EQ(cut.take<1>(), 3U);
  EXPECT_TRUE(cut.take_text().empty()) << "nine octets, of which three are there";
  EXPECT_FALSE(cut.good());
  EXPECT_FALSE(cut.take_flag());
  EXPECT_FALSE(cut.ends_well());
  byte_reader odd(const_bytes(octets).first(1));
  EXPECT_FALSE(odd.take_flag()) << "3 is no flag";
  EXPECT_FALSE(odd.good());
}

RC_GTEST_PROP(byte_record, whatever_it_is_is_taken_without_reading_past_its_end,
              (std::vector<std::uint8_t> octets, std::vector<std::uint8_t> steps)) {
  byte_reader from(octets);
  for (const std::uint8_t step : steps) {
    const std::size_t before = from.left();
    const std::size_t taken = step % 3 == 0 ? from.take_text().size() + 2 : step % 3 == 1 ? 4 : step;
    if (step % 3 == 1) from.take<4>();
    if (step % 3 == 2) from.take_bytes(step);
    RC_ASSERT((from.good() ? from.left() + taken == before : from.left() == 0));
  }
}

}  // namespace
}  // namespace sluice::wire
