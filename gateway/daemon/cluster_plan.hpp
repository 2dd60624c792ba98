#pragma once
#include <string>

#include <nlohmann/json.hpp>

#include "config/schema/plan.hpp"
#include "gateway/state/shared_configuration.hpp"

namespace sluice::daemon {

/// A plan as gateways tell each other: JSON, at most configuration_answer::max_text octets. What is too long for that
/// is cut, and a warning says so.
std::string plan_text(const config::plan& p);

/// What one gateway said, as "config.plan" shows it: "gateway", and what plan_text() made of its "plan", and its
/// "problem", where there are such.
nlohmann::json gateway_view(const std::string& gateway, const state::configuration_answer& says);
/// In a sentence, why it is not ready.
std::string refusal_of(const std::string& gateway, const state::configuration_answer& says);

}  // namespace sluice::daemon
