#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Sizes and durations as operators write them.
namespace sluice::config {

/// "64GiB" or "64 GiB" in octets: a whole number and B, KiB, MiB, GiB or TiB; nullopt for anything else and beyond
/// 2^64.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// The shortest exact spelling: 1536 MiB rather than 1.5 GiB.
std::string format_size(std::uint64_t octets);

/// "30s" or "30 s" in nanoseconds: a whole number and ms, s or min.
std::optional<std::uint64_t> parse_duration(std::string_view text);
/// The shortest exact spelling of a whole number of milliseconds; what is finer is cut off.
std::string format_duration(std::uint64_t nanoseconds);

/// For people: at most three significant digits, "1.5 GiB".
std::string approximate_size(std::uint64_t octets);

inline constexpr const char* size_spelling = "a whole number with B, KiB, MiB, GiB or TiB, as in \"64GiB\"";
inline constexpr const char* duration_spelling = "a whole number with ms, s or min, as in \"30s\"";

}  // namespace sluice::config
