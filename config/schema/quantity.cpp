#include "config/schema/quantity.hpp"

#include <array>
#include <charconv>
#include <cstdio>
#include <span>

#include "actors/base/bytes.hpp"

namespace sluice::config {

namespace {

struct scale {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<scale, 5> sizes{{{"TiB", tib}, {"GiB", gib}, {"MiB", mib}, {"KiB", kib}, {"B", 1}}};
constexpr std::array<scale, 3> durations{{{"min", 60 * ns_per_s}, {"s", ns_per_s}, {"ms", ns_per_ms}}};

std::optional<std::uint64_t> parse(std::string_view text, std::span<const scale> scales) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{}) return std::nullopt;
  std::string_view name(rest, static_cast<std::size_t>(end - rest));
  if (!name.empty() && name.front() == ' ') name.remove_prefix(1);
  for (const scale& s : scales) {
    if (name != s.name) continue;
    if (number > UINT64_MAX / s.factor) return std::nullopt;
    return number * s.factor;
  }
  return std::nullopt;
}

std::string format(std::uint64_t value, std::span<const scale> scales) {
  for (const scale& s : scales)
    if (value >= s.factor && value % s.factor == 0) return std::to_string(value / s.factor) + std::string(s.name);
  const scale& finest = scales.back();
  return std::to_string(value / finest.factor) + std::string(finest.name);
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse(text, sizes);
}
std::string format_size(std::uint64_t octets) {
  return format(octets, sizes);
}
std::optional<byte_range> parse_range(std::string_view text) {
  constexpr std::uint64_t limit = std::uint64_t{1} << 62;
  const std::size_t plus = text.find('+');
  if (plus == std::string_view::npos) return std::nullopt;
  const auto offset = parse_size(text.substr(0, plus)), length = parse_size(text.substr(plus + 1));
  if (!offset || !length || *length == 0 || *offset >= limit || *length > limit - *offset) return std::nullopt;
  return byte_range{*offset, *length};
}
std::string format_range(const byte_range& range) {
  return format_size(range.offset_bytes) + "+" + format_size(range.length_bytes);
}
std::optional<std::uint64_t> parse_duration(std::string_view text) {
  return parse(text, durations);
}

std::string format_duration(std::uint64_t nanoseconds) {
  return format(nanoseconds / ns_per_ms * ns_per_ms, durations);
}

std::string approximate_size(std::uint64_t octets) {
  for (const scale& s : sizes) {
    if (octets < s.factor) continue;
    char text[32];
    std::snprintf(text, sizeof text, "%.3g %s", static_cast<double>(octets) / static_cast<double>(s.factor),
                  s.name.data());
    // 1000 … 1023 of a unit would come out as 1e+03.
    if (std::string_view(text).find('e') != std::string_view::npos)
      std::snprintf(text, sizeof text, "%llu %s", static_cast<unsigned long long>(octets / s.factor), s.name.data());
    return text;
  }
  return "0 B";
}

}  // namespace sluice::config
