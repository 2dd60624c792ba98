#pragma once
#include "config/schema/diagnostic.hpp"
#include "config/schema/sections.hpp"

namespace sluice::config {

/// What is good and most likely not meant, in a model that nothing is wrong with, the fabrics' own among it; by place.
/// Pure.
diagnostics oddities_of(const model& m, const known_types& known);

}  // namespace sluice::config
