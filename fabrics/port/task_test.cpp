#include "fabrics/port/task.hpp"

#include <gtest/gtest.h>

#include "fabrics/port/fabric.hpp"

namespace sluice::port {

TEST(lun, single_level_numbers_round_trip) {
  for (int number : {0, 1, 255, 256, 16383})
    EXPECT_EQ(lun_number(lun_address(static_cast<std::uint16_t>(number))), number);
}

TEST(lun, other_forms_are_no_number) {
  EXPECT_EQ(lun_number(0x0001000100000000ull), -1);  // two levels
  EXPECT_EQ(lun_number(0xc101000000000000ull), -1);  // well-known: REPORT LUNS
  EXPECT_EQ(lun_number(0x0101000000000000ull), -1);  // bus 1
}

TEST(lun, forms_of_one_unit_are_told_apart_from_other_units) {
  const lun flat = std::uint64_t{0x4005} << 48;
  EXPECT_TRUE(same_unit(lun_address(5), flat));
  EXPECT_TRUE(same_unit(flat, flat));
  EXPECT_FALSE(same_unit(lun_address(5), lun_address(6)));
  const lun unknown = 0xc101000000000000, other = 0xc102000000000000;  // well known units
  EXPECT_TRUE(same_unit(unknown, unknown));
  EXPECT_FALSE(same_unit(unknown, other));
}

}  // namespace sluice::port
