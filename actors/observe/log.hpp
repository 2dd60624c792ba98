#pragma once
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

/// The log: one line per event on standard error, text or JSON. Any thread; no locks, no allocation when a line is not
/// written; a call site that repeats itself is cut to `lines_per_second` and says how many lines it kept back.
namespace sluice::observe {

enum class level : std::uint8_t { debug, info, warning, error };
enum class form : std::uint8_t { text, json };

/// key=value. The value is looked at before the call returns.
struct field {
  using value_type = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;
  std::string_view key;
  value_type value;

  template <class T>
  field(std::string_view name, const T& v) : key(name), value(pick(v)) {}

 private:
  template <class T>
  static value_type pick(const T& v) {
    if constexpr (std::is_same_v<T, bool>)
      return v;
    else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
      return static_cast<std::int64_t>(v);
    else if constexpr (std::is_integral_v<T>)
      return static_cast<std::uint64_t>(v);
    else if constexpr (std::is_floating_point_v<T>)
      return static_cast<double>(v);
    else
      return std::string_view(v);
  }
};

inline constexpr std::uint32_t lines_per_second = 20;

/// One place in the code that logs; made by SLUICE_LOG, lives forever.
class call_site {
 public:
  /// Whether a line may be written now; `kept_back` receives how many were not since the last one.
  bool admit(std::uint64_t now_ns, std::uint64_t& kept_back) noexcept;

 private:
  std::atomic<std::uint64_t> second_{0};
  std::atomic<std::uint32_t> lines_{0};
  std::atomic<std::uint64_t> kept_back_{0};
};

/// What is written, and how; at start, from the configuration.
void set_log(form how, level least) noexcept;
bool logs(level severity) noexcept;

/// Where lines go instead of standard error; nullptr: back there. For tests. Called from any thread.
using sink = void (*)(std::string_view line);
void set_log_sink(sink where) noexcept;

/// The line without its newline: what write_log() writes. Pure.
std::string format_line(form how, std::uint64_t unix_ns, level severity, std::string_view module,
                        std::string_view message, std::initializer_list<field> fields, std::uint64_t kept_back = 0);

/// Behind SLUICE_LOG.
void write_log(call_site& site, level severity, std::string_view module, std::string_view message,
               std::initializer_list<field> fields) noexcept;

}  // namespace sluice::observe

/// SLUICE_LOG(info, "iscsi", "login", {"initiator", name}, {"cid", 7});
#define SLUICE_LOG(severity, module, message, ...)                                                       \
  do {                                                                                                   \
    if (::sluice::observe::logs(::sluice::observe::level::severity)) {                                   \
      static ::sluice::observe::call_site sluice_log_site;                                               \
      ::sluice::observe::write_log(sluice_log_site, ::sluice::observe::level::severity, module, message, \
                                   {__VA_ARGS__});                                                       \
    }                                                                                                    \
  } while (false)
