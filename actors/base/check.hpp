#pragma once

namespace sluice {

/// Prints `what`, where, and a backtrace hint to standard error, then aborts. Programmer error only: input from a
/// wire, a disk or a user never ends here.
[[noreturn]] void check_failed(const char* what, const char* file, int line) noexcept;

}  // namespace sluice

/// An invariant of the program, checked in release builds too.
#define SLUICE_CHECK(condition)                               \
  do {                                                        \
    if (!(condition)) [[unlikely]]                            \
      ::sluice::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
