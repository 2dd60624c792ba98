#include "config/cli/render_parts.hpp"

#include <algorithm>
#include <cstdio>

#include "config/cli/render.hpp"

namespace sluice::config {

using nlohmann::json;

std::string text(const json& from, const char* name) {
  const json& v = member(from, name);
  if (v.is_string()) return v.get<std::string>();
  return v.is_null() ? std::string() : v.dump();
}

double number(const json& from, const char* name) {
  const json& v = member(from, name);
  return v.is_number() ? v.get<double>() : 0;
}

std::uint64_t whole(const json& from, const char* name) {
  const double v = number(from, name);
  return v > 0 ? static_cast<std::uint64_t>(v) : 0;
}

std::string fixed(double v, int digits) {
  char out[64];
  std::snprintf(out, sizeof out, "%.*f", digits, v);
  return out;
}

std::string latency(double us) {
  if (us <= 0) return "-";
  if (us < 1000) return fixed(us, us < 10 ? 1 : 0) + " µs";
  if (us < 1'000'000) return fixed(us / 1000, us < 100'000 ? 2 : 0) + " ms";
  return fixed(us / 1'000'000, 2) + " s";
}

std::string span_of_time(double seconds) {
  const auto s = static_cast<std::uint64_t>(std::max(0.0, seconds));
  if (s < 60) return std::to_string(s) + " s";
  if (s < 3600) return std::to_string(s / 60) + " min";
  if (s < 86400) return std::to_string(s / 3600) + " h " + std::to_string(s / 60 % 60) + " min";
  return std::to_string(s / 86400) + " d " + std::to_string(s / 3600 % 24) + " h";
}

std::string gateway_line(const json& status) {
  const json& gateway = member(status, "gateway");
  return "gateway " + text(gateway, "name") + "  sluice " + text(gateway, "version") + ", up " +
         span_of_time(number(gateway, "uptime_s"));
}

}  // namespace sluice::config
