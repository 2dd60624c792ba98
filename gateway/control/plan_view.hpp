#pragma once
#include <nlohmann/json.hpp>

#include "config/schema/plan.hpp"

namespace sluice::config {

/// The result of "plan" and "apply": docs/control.md. Found by nlohmann::json.
void to_json(nlohmann::json& out, const plan& p);

}  // namespace sluice::config
