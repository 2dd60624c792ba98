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

/// Octets [offset, offset + length), length not 0, below 2^62.
struct byte_range {
  std::uint64_t offset_bytes = 0;
  std::uint64_t length_bytes = 0;
  bool operator==(const byte_range&) const = default;
};
/// "512GiB+64MiB": where it begins, and how long it is; nullopt for anything else.
std::optional<byte_range> parse_range(std::string_view text);
std::string format_range(const byte_range& range);

/// "30s" or "30 s" in nanoseconds: a whole number and ms, s or min.
std::optional<std::uint64_t> parse_duration(std::string_view text);
/// The shortest exact spelling of a whole number of milliseconds; what is finer is cut off.
std::string format_duration(std::uint64_t nanoseconds);

/// For people: at most three significant digits, "1.5 GiB".
std::string approximate_size(std::uint64_t octets);

inline constexpr const char* size_spelling = "a whole number with B, KiB, MiB, GiB or TiB, as in \"64GiB\"";
inline constexpr const char* range_spelling =
    "an offset and a length, each a whole number with B, KiB, MiB, GiB or TiB, as in \"512GiB+64MiB\"";
inline constexpr const char* duration_spelling = "a whole number with ms, s or min, as in \"30s\"";

}  // namespace sluice::config
