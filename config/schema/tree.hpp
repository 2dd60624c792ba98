#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "config/schema/diagnostic.hpp"

/// A parsed document before it has any meaning: what config/toml makes, and the only thing that the reader knows.
namespace sluice::config {

struct tree_entry;

struct tree_table {
  std::vector<tree_entry> entries;  // in the order of the file
};

struct tree_node {
  place at;
  /// monostate: a date, a time, or another thing that no key takes.
  std::variant<std::monostate, std::string, std::int64_t, double, bool, std::vector<tree_node>, tree_table> value;
};

struct tree_entry {
  std::string name;
  place at;  // of the name
  tree_node value;
};

}  // namespace sluice::config
