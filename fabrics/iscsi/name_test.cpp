#include "fabrics/iscsi/name.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace sluice::iscsi {
namespace {

TEST(target_name, follows_the_rfc) {
  for (const char* good :
       {"iqn.2001-04.com.example:storage.disk2.sys1.xyz", "iqn.2001-04.com.example", "eui.02004567A425678D",
        "naa.52004567BA64678D", "naa.62004567BA64678D0123456789ABCDEF", "iqn.1994-05.com.redhat:a-b.c:d",
        "IQN.2001-04.com.Example:a_b", "iqn.2001-04.com.example:\xc3\xa4"})
    EXPECT_EQ(target_name_problem(good), "") << good;
  for (const char* bad :
       {"", "iqn", "iqn.", "iqn.2001-04", "iqn.2001-04.", "iqn.2001-13.com", "iqn.2001-00.com", "iqn.01-04.com",
        "iqn.2001-04.com.", "iqn.2001-04..com", "iqn.2001-04.:x", "iqn.2001-04.com:a b", "eui.02004567A425678",
        "eui.02004567A425678X", "naa.52004567BA64678D0", "wwn.1"})
    EXPECT_NE(target_name_problem(bad), "") << bad;
  const std::string stem = "iqn.2001-04.com.example:";
  EXPECT_EQ(target_name_problem(stem + std::string(223 - stem.size(), 'x')), "");
  EXPECT_NE(target_name_problem(stem + std::string(224 - stem.size(), 'x')), "");
}

TEST(initiator_name, is_any_name_in_use_and_nothing_that_a_terminal_obeys) {
  for (const char* good : {"iqn.1991-05.com.microsoft:win_host", "iqn.host", "eui.1", "naa.5", "iqn.a:\xe6\x97\xa5"})
    EXPECT_EQ(name_problem(good), "") << good;
  for (const char* bad :
       {"iqn.", "iqn.a\n", "iqn.a\x7f", "iqn.a:\xc2\x9b", "iqn.a:\xe2\x80\xae", "iqn.a:\xef\xbb\xbf", "iqn.a:\xc0\xaf",
        "iqn.a:\xed\xa0\x80", "iqn.a:\xe2\x80", "iqn.a:\xf4\x90\x80\x80", "iqn.a,b", "iqn.a/b"})
    EXPECT_NE(name_problem(bad), "") << bad;
}

TEST(canonical_name, knows_no_case) {
  EXPECT_EQ(canonical_name("IQN.1994-05.com.Example:HOST"), "iqn.1994-05.com.example:host");
  EXPECT_EQ(canonical_name("iqn.a:\xc3\x84"), "iqn.a:\xc3\x84");
}

RC_GTEST_PROP(iscsi_name, takes_any_text, (const std::string& text)) {
  for (const char* stem : {"", "iqn.", "iqn.2001-04.", "eui.", "naa."}) {
    const std::string name = stem + text;
    RC_ASSERT(name_problem(name).empty() == name_problem(canonical_name(name)).empty());
    if (target_name_problem(name).empty()) RC_ASSERT(name_problem(name).empty());
  }
}

}  // namespace
}  // namespace sluice::iscsi
