#include "gateway/state/rocksdb_log.hpp"

#include <cstdarg>
#include <cstdio>

#include "actors/observe/log.hpp"

namespace sluice::state {

void rocksdb_log::Logv(const char* format, va_list arguments) {
  char text[512];
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  if (length > 0) SLUICE_LOG(warning, "state", "the state database says", {"what", text});
}

}  // namespace sluice::state
