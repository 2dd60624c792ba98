#include "config/toml/depth.hpp"

#include <gtest/gtest.h>

#include <string>

#include "config/schema/test_types.hpp"
#include "config/toml/load.hpp"
#include "config/toml/parse.hpp"

namespace sluice::config {

namespace {

std::string repeated(const std::string& what, unsigned times) {
  std::string out;
  for (unsigned i = 0; i < times; ++i) out += what;
  return out;
}

/// One document for each way to nest `depth` deep.
std::vector<std::string> documents(unsigned depth) {
  const std::string dotted = repeated("a.", depth - 1) + "a";
  return {
      dotted + " = 1\n",
      "[" + dotted + "]\n",
      "[" + repeated("a.", depth - 2) + "a]\nb = 1\n",
      "[[" + repeated("a.", depth - 3) + "a]]\nb = 1\n",
      "a = " + repeated("[", depth - 1) + "1" + repeated("]", depth - 1) + "\n",
      "a = " + repeated("{ a = ", depth - 1) + "1" + repeated(" }", depth - 1) + "\n",
      "a = [ [], { b = 1, " + repeated("a.", depth - 3) + "a = 1 } ]\n",
      "'a.[{' = \"[[{#\"  # [[[ a.b.c\n[\"x.\\\"y\"." + repeated("a . ", depth - 2) + "a]\n",
      "text = \"\"\"\n[[[\n\\\"\"\"\"\"\nother = ''' [ '' '''\nb." + repeated("a.", depth - 2) + "a = 2000-01-01\n",
  };
}

TEST(depth, a_document_as_deep_as_the_limit_is_parsed) {
  for (const std::string& text : documents(max_depth)) {
    EXPECT_FALSE(too_deep(text)) << text;
    const auto parsed = parse_toml(text);
    EXPECT_TRUE(parsed) << text << parsed.error().problem;
  }
}

TEST(depth, a_document_just_deeper_is_refused_at_its_place) {
  for (const std::string& text : documents(max_depth + 1)) {
    const auto parsed = parse_toml(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().problem, "nests deeper than 64 tables and arrays") << text;
  }
}

TEST(depth, the_place_is_the_line_and_the_column) {
  const known_types known = types_for_tests();
  const auto where = [&](const std::string& text) { return load_text(text, "f", "/", known).error().to_string(); };
  const std::string sentence = ": TOML: nests deeper than 64 tables and arrays; a TOML 1.0 document";
  EXPECT_EQ(where("[gateway]\nname = 'gw'\n[" + repeated("a.", 64) + "a]\n"), "f:3:129" + sentence);
  EXPECT_EQ(where("# \u00e4\u00f6\n\"\u00e4\" = " + repeated("[", 64)), "f:2:70" + sentence);
}

/// Some millions of tables would take more stack than there is.
TEST(depth, however_deep_a_document_is_it_costs_no_stack) {
  for (const char* with : {"a.", "[", "{a=", "a={a=", "[[", "[{a="}) {
    std::string text = repeated(with, 1 << 20);
    EXPECT_FALSE(parse_toml(text)) << with;
    EXPECT_FALSE(parse_toml("x = " + text)) << with;
    EXPECT_FALSE(parse_toml("[" + text + "b]")) << with;
  }
}

}  // namespace

}  // namespace sluice::config
