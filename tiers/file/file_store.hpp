#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "actors/reactor/loop.hpp"
#include "tiers/store/store.hpp"

namespace sluice::file {

struct options {
  std::string path;
  std::uint64_t size_bytes = 0;  // 0: as large as the file is
  bool direct = false;           // past the page cache
  bool read_only = false;
  std::uint64_t deadline_ns = 30 * ns_per_s;  // how long a unit waits for it
};

/// Opens a file as a store, held against other gateways. It is created, sparse, when it is absent and a size is given;
/// one that is smaller grows to the size, one that is larger stays as it is. errc::busy when another process holds it;
/// errc::invalid_argument when it is no file; otherwise what the system says.
result<std::shared_ptr<store::store>> open_store(const options& wanted, reactor::loop& control_loop);
/// Whether it would open; changes nothing. Blocks.
result<void> probe(const options& wanted);

}  // namespace sluice::file
