#pragma once
#include <string>

#include <nlohmann/json.hpp>

/// What `sluice top` shows. Pure; whatever the JSON lacks is left out.
namespace sluice::config {

/// What happened between two results of "status" with latencies, `seconds` apart: the form is that of `sluice top
/// --json` in docs/control.md.
nlohmann::json rates_between(const nlohmann::json& before, const nlohmann::json& now, double seconds);

/// For people; `rows`: at most so many lines, 0: all.
std::string render_rates(const nlohmann::json& rates, std::size_t rows = 0);

}  // namespace sluice::config
