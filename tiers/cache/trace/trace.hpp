#pragma once
#include <cstdint>
#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "actors/base/result.hpp"

/// Traces of block I/O: lines of TIME,OP,OFFSET,LENGTH. TIME in microseconds from any start; OP is R (read), W (write)
/// or D (discard); OFFSET and LENGTH in octets. Empty lines, lines that begin with '#' and a first line of names are
/// passed over.
namespace sluice::cache {

enum class trace_op : std::uint8_t { read, write, discard };

struct trace_record {
  std::uint64_t time_us = 0;
  std::uint64_t offset_bytes = 0;
  std::uint32_t length_bytes = 0;  // 1 … trace_length_limit
  trace_op op = trace_op::read;
  bool operator==(const trace_record&) const = default;
};

inline constexpr std::uint64_t trace_length_limit = 64ull << 20;

/// One line, without its end. errc::invalid_argument with what is wrong with it.
result<trace_record> parse_trace_line(std::string_view line);
/// The line of a record, without its end.
std::string to_line(const trace_record& record);
/// Everything up to the end of `from`. Errors name the line. At most `limit` records.
result<std::vector<trace_record>> read_trace(std::istream& from, std::uint64_t limit = 1ull << 30);

}  // namespace sluice::cache
