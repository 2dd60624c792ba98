#include "actors/observe/log.hpp"
#include "tests/sim/machine_actor.hpp"
#include "tests/sim/simulation.hpp"

namespace sluice::sim {

simulation::simulation() : actors_(std::make_unique<actors>()) {
  // What scenarios do to a gateway makes it complain, rightly.
  observe::set_log_sink([](std::string_view) {});
}

simulation::~simulation() {
  observe::set_log_sink(nullptr);
}

report simulation::run(std::uint64_t seed, const scenario_options& options) {
  return run_scenario(seed, *actors_, options);
}

}  // namespace sluice::sim
