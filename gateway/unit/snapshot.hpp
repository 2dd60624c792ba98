#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "gateway/reservations/types.hpp"
#include "gateway/scsi/mode_pages.hpp"
#include "gateway/scsi/reports.hpp"
#include "gateway/scsi/unit_facts.hpp"

namespace sluice::unit {

/// Everything about a logical unit that all cores must agree on, as one immutable value. The home makes a new one for
/// each change; shards read the one that they got last.
struct unit_snapshot {
  std::uint64_t epoch = 0;  // grows with each snapshot
  scsi::unit_facts facts;
  bool maps = false;  // the store tells holes from data
  scsi::mode_state mode;
  scsi::mode_state mode_saved;
  reservations::state reservations;
  std::uint64_t reserve_holder = 0;             // nexus id with a RESERVE(6)/(10) reservation; 0: nobody
  bool stopped = false;                         // by START STOP UNIT
  std::vector<std::uint64_t> prevents_removal;  // nexus ids that sent PREVENT
  std::vector<scsi::target_port_group> groups;

  /// Writes must be on the medium before their status [SPC-4 7.5.5 WCE].
  bool write_through() const { return facts.volatile_cache && !mode.write_cache; }
  const scsi::target_port_group* group(std::uint16_t number) const {
    for (const scsi::target_port_group& g : groups)
      if (g.number == number) return &g;
    return nullptr;
  }
  std::vector<std::uint16_t> target_ports() const {
    std::vector<std::uint16_t> ports;
    for (const scsi::target_port_group& g : groups) ports.insert(ports.end(), g.ports.begin(), g.ports.end());
    return ports;
  }
};

using snapshot_ptr = std::shared_ptr<const unit_snapshot>;

}  // namespace sluice::unit
