#pragma once
#include <string>

#include "config/schema/sections.hpp"
#include "config/schema/tree.hpp"
#include "config/schema/values.hpp"

/// Reads one table against the rows of keys that it may hold.
namespace sluice::config {

/// What reading needs everywhere.
struct read_context {
  std::string directory;  // relative paths are below it
  diagnostics& wrong;
};

/// Checks every entry of `table` against `keys` (dotted names are nested tables) and returns what is right; unknown
/// keys, wrong types, values out of bounds and missing keys go to `context.wrong`. Keys of kind luns and tables are
/// known, and left to the caller. `path` is the table's own ("store.scratch"), `at` where it stands. What `let_pass`
/// names may be there, too, and is not looked at: the keys of all kinds, where it is not known which kind it is.
values read_keys(read_context& context, const tree_table& table, const std::vector<key>& keys, const std::string& path,
                 place at, const std::vector<std::string>& let_pass = {});

/// The entry of that name; null when there is none.
const tree_node* find_entry(const tree_table& table, const std::string& name);

/// The table in `node`; null, with a diagnostic, when it is something else.
const tree_table* expect_table(read_context& context, const tree_node& node, const std::string& path,
                               const std::string& allowed);

/// A word for what a node is: "a number".
std::string describe(const tree_node& node);

/// `path` made absolute below `directory`, without "." and "..".
std::string absolute_path(const std::string& path, const std::string& directory);

/// A key as it is written in a path: bare, or in quotes.
std::string quoted_if_needed(const std::string& name);

}  // namespace sluice::config
