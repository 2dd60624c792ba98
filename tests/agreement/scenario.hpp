#pragma once
#include <cstdint>
#include <string>

#include "tests/agreement/plant.hpp"

namespace sluice::agreement_sim {

struct report {
  std::string failure;  // empty: all is well
  std::uint64_t digest = 0;
  std::uint64_t epochs = 0;    // committed
  std::uint64_t commands = 0;  // answered
};

struct world_options {
  plant bug = plant::none;
  bool verbose = false;
  /// One gateway at a time may touch the blocks, of an image that some have caches over: never two, and in the end one.
  bool owned = false;
  unsigned gateways = 3;  // at most max_gateways
};

/// Gateways serve one unit over one authority; four initiators work on it through all of them, while gateways are
/// paused, killed, cut off, and the authority starts again. Then all is healed, and everything must agree. The same
/// seed gives the same history.
report run(std::uint64_t seed, const world_options& how = {});

}  // namespace sluice::agreement_sim
