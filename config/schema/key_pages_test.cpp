#include "config/schema/key_pages.hpp"

#include <gtest/gtest.h>

#include "config/schema/test_types.hpp"

namespace sluice::config {

namespace {

const std::string begin = "<!-- keys of store block: made from the program -->\n", end = "<!-- end of keys -->\n";
const std::string table =
    "\n| key | takes | default | |\n|---|---|---|---|\n| `path` | a path | required | the file or device |\n\n";

TEST(key_pages, have_the_keys_that_they_ask_for) {
  const known_types known = types_for_tests();
  const std::string good = "# A page\n\n" + begin + table + end + "more\n" + begin + table + end;
  EXPECT_EQ(*with_keys(good, known), good);
  EXPECT_EQ(*with_keys("# A page\n\n" + begin + "| `paht` |\n" + end + "more\n" + begin + end, known), good)
      << "what drifted is made anew, and nothing else changes";
  EXPECT_EQ(*with_keys("no keys\n", known), "no keys\n");
}

TEST(key_pages, have_all_keys_with_titles_where_they_ask_for_no_table) {
  const std::string all = "<!-- keys: made from the program -->\n";
  const std::string page = *with_keys(all + end, types_for_tests());
  EXPECT_TRUE(page.starts_with(all + "## `[gateway]`\n\nThe gateway itself.")) << page;
  EXPECT_NE(page.find("## A store with `type = \"block\"`\n\nBeside `type`.\n" + table), std::string::npos);
  EXPECT_NE(page.find("## A port with `fabric = \"srp\"`\n"), std::string::npos);
  EXPECT_TRUE(page.ends_with("|\n\n" + end));
}

TEST(key_pages, that_ask_for_what_there_is_not_are_refused) {
  const known_types known = types_for_tests();
  const auto odd = with_keys("<!-- keys of store blokc: made from the program -->\n" + end, known);
  EXPECT_TRUE(odd.error().message.starts_with(
      "there are no keys of \"store blokc\", did you mean \"store block\"?; gateway, cluster, store, "))
      << odd.error().message;
  EXPECT_EQ(with_keys(begin + table, known).error().code, errc::invalid_argument) << "no end";
  EXPECT_EQ(with_keys(end + begin, known).error().code, errc::invalid_argument);
}

}  // namespace

}  // namespace sluice::config
