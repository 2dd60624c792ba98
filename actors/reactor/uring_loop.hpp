#pragma once
#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

/// A loop over one io_uring; Linux 5.15 and later. Fails where the system forbids rings or lacks an opcode.
result<std::unique_ptr<loop>> make_uring_loop(const loop_options& options);

}  // namespace sluice::reactor
