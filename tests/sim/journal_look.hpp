#pragma once
#include <string>

#include "actors/reactor/simulated.hpp"

namespace sluice::sim {

/// What the journal on a flash and the medium below it say of each other, while nobody has them open.
struct journal_look {
  bool disowned = false;  // the medium has noted that what the journal holds is void: docs/tiers.md, "Write-back"
  bool lacks = false;     // and that it lacks blocks, which the journal had and has lost
};
journal_look look_at_journal(reactor::sim_world& world, const std::string& flash, const std::string& medium);

/// As an operator does who is told that a journal holds data for which its medium does not wait.
void wipe_journal(reactor::sim_world& world, const std::string& flash);

}  // namespace sluice::sim
