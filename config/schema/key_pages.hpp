#pragma once
#include <string>
#include <vector>

#include "actors/base/result.hpp"
#include "config/schema/sections.hpp"

/// The keys as pages tell them. One table for each place in the file, of the rows that the reader checks it against.
namespace sluice::config {

struct key_table {
  std::string name;   // "gateway"; "store cache": as a page asks for it
  std::string title;  // "[gateway]" as it stands in the file; `A store with type = "cache"`
  std::string intro;
  const std::vector<key>* keys;
};

/// In the order of the file; then those of store types and fabrics. They live as long as `known`.
std::vector<key_table> key_tables(const known_types& known);

/// What holds where a key is absent: "required", "none", "256MiB".
std::string default_of(const key& k);

/// A page with the tables that it asks for, as they are now. It asks between two lines of its own, for all of them with
/// titles, or for the rows of one:
///
///     <!-- keys: made from the program -->          <!-- keys of store cache: made from the program -->
///     <!-- end of keys -->                          <!-- end of keys -->
///
/// not_found when there is no such table; invalid_argument when the end is missing.
result<std::string> with_keys(const std::string& page, const known_types& known);

}  // namespace sluice::config
