#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "actors/observe/histogram.hpp"

namespace sluice::observe {

/// What is counted of one kind of command on one core.
struct command_counters {
  histogram latency;              // from the fabric's receipt to the outcome
  std::uint64_t failed = 0;       // ended with any status but GOOD and CONDITION MET, or aborted; but for the next two
  std::uint64_t attentions = 0;   // told a unit attention in place of what was asked
  std::uint64_t unsupported = 0;  // asked for a command, page or field that there is not
  std::uint64_t octets = 0;       // moved between initiator and unit, by commands that ended well
  void merge(const command_counters& other) noexcept {
    latency.merge(other.latency);
    failed += other.failed;
    attentions += other.attentions;
    unsupported += other.unsupported;
    octets += other.octets;
  }
};

/// Command classes that are measured apart: enough to tell a slow medium from a slow flush, few enough to keep
/// (5 KiB per class and core, once it is used).
enum class command_class : std::uint8_t { read, write, flush, unmap, atomic, other };
inline constexpr std::size_t command_class_count = 6;
const char* to_string(command_class c);

/// A core's counters of one logical unit: written by its shard only, handed out as a copy.
struct unit_counters {
  std::array<command_counters, command_class_count> classes;
  std::uint64_t task_set_full = 0;
  std::uint64_t aborted = 0;
  command_counters& of(command_class c) { return classes[static_cast<std::size_t>(c)]; }
  const command_counters& of(command_class c) const { return classes[static_cast<std::size_t>(c)]; }
  void merge(const unit_counters& other) noexcept {
    for (std::size_t i = 0; i < command_class_count; ++i) classes[i].merge(other.classes[i]);
    task_set_full += other.task_set_full;
    aborted += other.aborted;
  }
};

}  // namespace sluice::observe
