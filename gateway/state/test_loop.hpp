#pragma once
#include <memory>
#include <utility>

#include "actors/reactor/loop.hpp"

namespace sluice::state {

/// A real loop of the calling thread, which the test turns itself.
inline std::unique_ptr<reactor::loop> make_test_loop() {
  reactor::loop_options how;
  how.kind = reactor::backend::epoll;
  how.buffer_bytes = 16 * mib;
  return std::move(*reactor::make_loop(how));
}

}  // namespace sluice::state
