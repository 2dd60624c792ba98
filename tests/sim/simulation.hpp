#pragma once
#include <memory>

#include "tests/sim/scenario.hpp"

namespace sluice::sim {

/// Everything that a process needs to run scenarios, one after the other.
class simulation {
 public:
  simulation();
  ~simulation();
  /// Throws what cannot be torn down: a gateway whose control side hangs.
  report run(std::uint64_t seed, const scenario_options& options);

 private:
  std::unique_ptr<actors> actors_;
};

}  // namespace sluice::sim
