#pragma once
#include <string>

#include "config/schema/model.hpp"
#include "config/schema/tree.hpp"

namespace sluice::config {

struct reading {
  model what;         // what could be understood; good to run only when nothing is wrong
  diagnostics wrong;  // in the order of the file
};

/// Turns a parsed document into a model: types, bounds, unknown and missing keys. Relative paths become absolute below
/// `directory`. Then validate() runs over what could be read, so that all errors come in one run. Pure.
reading read(const tree_table& document, const std::string& directory, const known_types& known);

/// The same without validate(): of a document that is a part of a configuration.
reading read_part(const tree_table& document, const std::string& directory, const known_types& known);

/// What is wrong between the parts of a model: dangling names, cycles, collisions. Adds to `wrong`. Pure.
void validate(const model& m, const known_types& known, diagnostics& wrong);

}  // namespace sluice::config
