#pragma once
#include <memory>
#include <string>

#include "actors/reactor/loop.hpp"
#include "tiers/store/store.hpp"

namespace sluice::block {

/// Opens a block device as a store, past the page cache and exclusively; a unit waits for it for `deadline_ns` at most.
/// errc::busy when it is mounted or otherwise in
/// use; errc::invalid_argument when `path` is no block device; otherwise what the system says.
result<std::shared_ptr<store::store>> open_store(const std::string& path, bool read_only, reactor::loop& control_loop,
                                                 std::uint64_t deadline_ns = 30 * ns_per_s);

}  // namespace sluice::block
