#include "actors/observe/log.hpp"

#include "actors/observe/log_thread.hpp"
#include "actors/observe/offloaded_log.hpp"
#include "actors/observe/recent.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace sluice::observe {

namespace {

std::atomic<form> chosen_form{form::text};
std::atomic<level> min_level{level::info};
std::atomic<sink> chosen_sink{nullptr};
std::atomic<log_thread*> log_writer{nullptr};

constexpr const char* level_names[] = {"debug", "info", "warning", "error"};
constexpr std::size_t longest_value = 1024;  // of one field; what a peer sends shall not flood the log

void append_escaped(std::string& out, std::string_view text) {
  static const char* digits = "0123456789abcdef";
  for (char c : text.substr(0, longest_value)) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (octet < 0x20 || octet >= 0x7f)  // octets beyond ASCII may be half a character: one code point each
      (out += "\\u00") += {digits[octet >> 4], digits[octet & 0xf]};
    else
      out += c;
  }
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  append_escaped(out, text);
  out += '"';
}

bool is_plain(std::string_view text) {
  return !text.empty() && text.size() <= longest_value && std::all_of(text.begin(), text.end(), [](char c) {
    return c > 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '=';
  });
}

void append_value(std::string& out, form how, const field::value_type& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    if (how == form::text && is_plain(*text))
      out += *text;
    else
      append_quoted(out, *text);
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    out += *flag ? "true" : "false";
  } else if (const auto* whole = std::get_if<std::int64_t>(&value)) {
    out += std::to_string(*whole);
  } else if (const auto* natural = std::get_if<std::uint64_t>(&value)) {
    out += std::to_string(*natural);
  } else {
    const double fraction = std::get<double>(value);
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.6g", fraction);
    out += std::isfinite(fraction) ? digits : "null";
  }
}

void append_time(std::string& out, std::uint64_t unix_ns) {
  const auto seconds = static_cast<std::time_t>(unix_ns / 1'000'000'000);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  char text[40];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text + length, sizeof text - length, ".%03uZ", static_cast<unsigned>(unix_ns / 1'000'000 % 1000));
  out += text;
}

void append_text(std::string& out, const field& f) {
  ((out += ' ') += f.key) += '=';
  append_value(out, form::text, f.value);
}

void append_json(std::string& out, const field& f) {
  out += ',';
  append_quoted(out, f.key);
  out += ':';
  append_value(out, form::json, f.value);
}

template <class Clock>
std::uint64_t now_ns() {
  const auto since = Clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(since).count());
}

}  // namespace

bool call_site::admit(std::uint64_t now, std::uint64_t& kept_back) noexcept {
  const std::uint64_t second = now / 1'000'000'000;
  std::uint64_t seen = second_.load(std::memory_order_relaxed);
  // Whoever moves the second opens a new allowance; a racing line may slip in, which does no harm.
  if (seen != second && second_.compare_exchange_strong(seen, second, std::memory_order_relaxed))
    lines_.store(0, std::memory_order_relaxed);
  if (lines_.fetch_add(1, std::memory_order_relaxed) >= lines_per_second) {
    kept_back_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  kept_back = kept_back_.exchange(0, std::memory_order_relaxed);
  return true;
}

void set_log(form how, level least) noexcept {
  chosen_form = how;
  min_level = least;
}

bool logs(level severity) noexcept {
  return severity >= min_level.load(std::memory_order_relaxed);
}

void set_log_sink(sink where) noexcept {
  chosen_sink = where;
}

std::string format_line(form how, std::uint64_t unix_ns, level severity, std::string_view module,
                        std::string_view message, std::initializer_list<field> fields, std::uint64_t kept_back) {
  const bool json = how == form::json;
  std::string out = json ? "{\"time\":\"" : "";
  append_time(out, unix_ns);
  const char* name = level_names[static_cast<unsigned>(severity)];
  if (json) {
    append_json(out += '"', {"level", name});
    append_json(out, {"module", module});
    append_json(out, {"message", message});
  } else {
    (((out += ' ') += name) += ' ') += module;
    append_escaped(out += ": ", message);
  }
  const auto append = json ? append_json : append_text;
  for (const field& f : fields) append(out, f);
  if (kept_back > 0) append(out, {"kept_back", kept_back});
  if (json) out += '}';
  return out;
}

namespace {

void put(std::string line) {
  line += '\n';
  if (log_thread* const by = log_writer.load()) return by->add(std::move(line));
  // One call, so that lines of several threads don't mix. What standard error does not take is lost: logging never
  // waits twice.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void write_log(call_site& site, level severity, std::string_view module, std::string_view message,
               std::initializer_list<field> fields) noexcept {
  std::uint64_t kept_back = 0;
  if (!site.admit(now_ns<std::chrono::steady_clock>(), kept_back)) return;
  const std::uint64_t now = now_ns<std::chrono::system_clock>();
  if (severity >= level::info) {
    const std::string text = format_line(form::text, now, severity, module, message, fields, kept_back);
    const std::size_t space = text.find(' ');
    recent().add(text.substr(0, space), text.substr(space + 1));
  }
  std::string line = format_line(chosen_form, now, severity, module, message, fields, kept_back);
  if (const sink where = chosen_sink) return where(line);
  put(std::move(line));
}

namespace {

std::string line_of_dropped(std::uint64_t lines) {
  return format_line(chosen_form, now_ns<std::chrono::system_clock>(), level::warning, "log", "lines were dropped",
                     {{"lines", lines}}) +
         '\n';
}

}  // namespace

offloaded_log::offloaded_log() {
  log_writer = new log_thread(STDERR_FILENO, line_of_dropped);
}

offloaded_log::~offloaded_log() {
  drain_log();
  delete log_writer.exchange(nullptr);
}

void drain_log() {
  if (log_thread* const by = log_writer.load()) by->drain(std::chrono::seconds(1));
}

void say_offloaded(std::string line) {
  put(std::move(line));
  drain_log();
}

std::uint64_t dropped_log_lines() {
  const log_thread* const by = log_writer.load();
  return by ? by->dropped() : 0;
}

}  // namespace sluice::observe
