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

/// Three gateways serve one unit over one authority; four initiators work on it through all of them, while gateways are
/// paused, killed, cut off, and the authority starts again. Then all is healed, and everything must agree. The same
/// seed gives the same history.
///
/// `owned`: one gateway at a time may touch the blocks; never two, and in the end one.
report run(std::uint64_t seed, plant bug = plant::none, bool verbose = false, bool owned = false);

}  // namespace sluice::agreement_sim
