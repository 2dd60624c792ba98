#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "config/schema/test_types.hpp"
#include "config/toml/load.hpp"

namespace sluice::config {

namespace {

namespace fs = std::filesystem;

TEST(examples, are_good) {
  char pattern[] = "/tmp/sluice-examples-XXXXXX";
  const fs::path directory = mkdtemp(pattern);
  int secrets = 0;
  for (const char* name : {"host1.secret", "host2.secret", "gw-a.secret"}) {
    std::ofstream(directory / name) << "secret number " << secrets++ << '\n';
    chmod((directory / name).c_str(), 0600);
  }
  unsigned files = 0;
  for (const auto& entry : fs::directory_iterator("../../examples")) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    fs::copy_file(entry.path(), directory / entry.path().filename());
    const loaded m = load_file(directory / entry.path().filename(), types_for_tests());
    EXPECT_TRUE(m) << m.error().to_string();
  }
  EXPECT_GE(files, 3u);
  fs::remove_all(directory);
}

/// The tables between the two marks come from the schema; SLUICE_GOLDEN=write in the environment rewrites them.
TEST(manual, lists_the_keys_of_the_schema) {
  const std::string begin = "<!-- keys: made from config/schema/sections.cpp -->\n", end = "<!-- end of keys -->\n";
  const std::string path = "../../docs/configuration.md";
  std::ostringstream in;
  in << std::ifstream(path).rdbuf();
  std::string page = in.str();
  const std::size_t from = page.find(begin), to = page.find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos);
  const std::size_t inside = from + begin.size();
  if (std::getenv("SLUICE_GOLDEN") != nullptr) {
    page.replace(inside, to - inside, describe_keys());
    std::ofstream(path) << page;
  }
  EXPECT_EQ(page.substr(inside, page.find(end) - inside), describe_keys());
}

}  // namespace

}  // namespace sluice::config
