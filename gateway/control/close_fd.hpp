#pragma once
#include <unistd.h>

namespace sluice::control {

/// Closes `fd` unless it is closed already, which it is afterwards: -1.
inline void close_fd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

}  // namespace sluice::control
