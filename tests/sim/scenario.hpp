#pragma once
#include <cstdint>
#include <string>

#include "tests/sim/plants.hpp"

namespace sluice::sim {

class actors;

struct scenario_options {
  plant bug = plant::none;
  bool debts = false;    // hosts owe the data of their writes, some until the target has had enough
  bool hangs = false;    // the disk answers some requests long after their deadline
  bool caches = false;   // hosts change the caching page and flush, flushes fail, power is lost; likewise
  bool frozen = false;   // hosts stand still for a while; a part of all seeds does without this option
  bool rot = false;      // of write-back caches: flash loses what it holds for a disk that takes nothing
  bool tiers = false;    // caches of all kinds lie over the disk, change, lose their flash
  bool verbose = false;  // says on standard output what happens
};

struct report {
  std::string failure;         // empty: all is well
  std::uint64_t digest = 0;    // of everything that happened
  std::uint64_t commands = 0;  // answered
  std::uint64_t virtual_ns = 0;
};

/// One history of a gateway and its initiators, made up and judged; the same seed gives the same history.
report run_scenario(std::uint64_t seed, actors& all, const scenario_options& options);

}  // namespace sluice::sim
