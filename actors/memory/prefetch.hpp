#pragma once

namespace sluice::memory {

/// Has the processor bring a line of memory near, and goes on at once; any address will do. Not the builtin alone: a
/// function that does nothing else counts as one without effect, and GCC drops its calls.
inline void prefetch(const void* line) noexcept {
  __builtin_prefetch(line);
  asm volatile("");
}
inline void prefetch_to_write(const void* line) noexcept {
  __builtin_prefetch(line, 1);
  asm volatile("");
}

}  // namespace sluice::memory
