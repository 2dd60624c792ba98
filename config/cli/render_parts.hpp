#pragma once
#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

/// What the renderers share: members of the JSON that may be absent, and figures as people read them.
namespace sluice::config {

/// A text as it is, and any other value as JSON; empty when there is none.
std::string text(const nlohmann::json& from, const char* name);
/// 0 for what is no number.
double number(const nlohmann::json& from, const char* name);
std::uint64_t whole(const nlohmann::json& from, const char* name);

std::string fixed(double v, int digits);
/// 12 µs, 1.25 ms, 3 s: three digits.
std::string latency(double us);
std::string span_of_time(double seconds);
/// What gateway it is, from a document with "gateway".
std::string gateway_line(const nlohmann::json& status);

}  // namespace sluice::config
