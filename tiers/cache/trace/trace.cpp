#include "tiers/cache/trace/trace.hpp"

#include <array>
#include <charconv>
#include <optional>

namespace sluice::cache {
namespace {

constexpr std::size_t line_limit = 256;
constexpr std::uint64_t offset_limit = 1ull << 62;

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> to_number(std::string_view text) {
  std::uint64_t out = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || rest != text.data() + text.size()) return std::nullopt;
  return out;
}

std::optional<trace_op> to_op(std::string_view text) {
  if (text.size() != 1) return std::nullopt;
  switch (text[0]) {
    case 'R':
    case 'r':
      return trace_op::read;
    case 'W':
    case 'w':
      return trace_op::write;
    case 'D':
    case 'd':
      return trace_op::discard;
    default:
      return std::nullopt;
  }
}

tl::unexpected<error> wrong(std::string what) {
  return fail(errc::invalid_argument, std::move(what));
}

}  // namespace

result<trace_record> parse_trace_line(std::string_view line) {
  std::array<std::string_view, 4> fields;
  std::size_t count = 0;
  for (std::size_t at = 0; at <= line.size(); ++count) {
    const std::size_t comma = std::min(line.find(',', at), line.size());
    if (count < fields.size()) fields[count] = trimmed(line.substr(at, comma - at));
    at = comma + 1;
  }
  if (count != fields.size())
    return wrong("takes four fields, TIME,OP,OFFSET,LENGTH, and has " + std::to_string(count));
  const auto time = to_number(fields[0]), offset = to_number(fields[2]), length = to_number(fields[3]);
  const auto op = to_op(fields[1]);
  if (!time) return wrong("the time is a whole number of microseconds");
  if (!op) return wrong("the operation is R, W or D");
  if (!offset || *offset > offset_limit) return wrong("the offset is a whole number of octets, below 2^62");
  if (!length || *length == 0 || *length > trace_length_limit)
    return wrong("the length is a whole number of octets, from 1 to " + std::to_string(trace_length_limit));
  return trace_record{*time, *offset, static_cast<std::uint32_t>(*length), *op};
}

std::string to_line(const trace_record& record) {
  const char op = record.op == trace_op::read ? 'R' : record.op == trace_op::write ? 'W' : 'D';
  return std::to_string(record.time_us) + "," + op + "," + std::to_string(record.offset_bytes) + "," +
         std::to_string(record.length_bytes);
}

result<std::vector<trace_record>> read_trace(std::istream& from, std::uint64_t limit) {
  std::vector<trace_record> all;
  std::array<char, line_limit + 1> room;
  bool first = true;
  for (std::uint64_t number = 1;; ++number) {
    from.getline(room.data(), room.size());
    if (from.eof() && from.gcount() == 0) return all;
    const auto at = [&](const std::string& what) { return wrong("line " + std::to_string(number) + ": " + what); };
    if (from.bad()) return fail(errc::io, "line " + std::to_string(number) + ": the trace cannot be read");
    if (from.fail()) return at("is longer than " + std::to_string(line_limit) + " characters");
    const std::string_view line = trimmed(room.data());
    if (line.empty() || line.front() == '#') continue;
    auto record = parse_trace_line(line);
    const bool names = first && !record && (line.front() < '0' || line.front() > '9');
    first = false;
    if (names) continue;
    if (!record) return at(record.error().message);
    if (all.size() == limit) return at("is one record too many: at most " + std::to_string(limit) + " are taken");
    all.push_back(*record);
  }
}

}  // namespace sluice::cache
