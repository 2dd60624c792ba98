#pragma once
#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

/// A loop over epoll, with a small pool of threads for files: for hosts and containers that forbid io_uring.
result<std::unique_ptr<loop>> make_epoll_loop(const loop_options& options);

}  // namespace sluice::reactor
