#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "gateway/agreement/agreed.hpp"
#include "gateway/scsi/unit_facts.hpp"

namespace sluice::unit {

/// What the cores of one gateway know of a logical unit, as one immutable value: what all gateways agree on, and what
/// this one knows by itself. The coordinator makes a new one for each change; shards read the one that they got last.
/// Its epoch is that of the agreed part: it stays when only the rest changes.
struct unit_snapshot : agreement::agreed {
  scsi::unit_facts facts;
  bool maps = false;  // the store tells holes from data
  /// Nothing may be done for initiators: this gateway has lost touch with the others, or what is agreed cannot be read.
  enum class service : std::uint8_t { on, suspended, damaged };
  unit_snapshot::service serves = service::on;
  bool opening = false;  // this gateway owns the unit, and its store is not ready for that yet
  // Worked out of the above.
  scsi::mode_state mode_saved;
  std::vector<scsi::target_port_group> groups;

  /// Writes must be on the medium before their status [SPC-4 7.5.5 WCE].
  bool write_through() const { return facts.volatile_cache && !mode.write_cache; }
  /// What is acknowledged may be in a volatile cache.
  bool writes_back() const { return facts.volatile_cache && mode.write_cache; }
  const scsi::target_port_group* group(std::uint16_t number) const {
    for (const scsi::target_port_group& g : groups)
      if (g.number == number) return &g;
    return nullptr;
  }
  std::vector<std::uint16_t> target_ports() const { return agreement::target_ports_of(*this); }
};

using snapshot_ptr = std::shared_ptr<const unit_snapshot>;

}  // namespace sluice::unit
