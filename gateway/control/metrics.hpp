#pragma once
#include <string>

#include <nlohmann/json.hpp>

namespace sluice::control {

/// What "status" told, in the text format that Prometheus collects: one sample a line, names sluice_…, units last and
/// in seconds and bytes, _total for what only grows, latencies as histograms. Figures of a store become
/// sluice_store_<figure>. Pure.
std::string metrics_text(const nlohmann::json& status);

}  // namespace sluice::control
