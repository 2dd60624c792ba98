#pragma once
#include <cstdint>
#include <vector>

#include "gateway/scsi/cdb.hpp"
#include "gateway/scsi/unit_facts.hpp"

namespace sluice::scsi {

/// What MODE SELECT can change; everything else in the pages is constant. A value: the coordinator publishes it to its
/// shards.
struct mode_state {
  bool write_cache = true;              // WCE
  bool descriptor_sense = false;        // D_SENSE
  bool software_write_protect = false;  // SWP
  bool task_aborted_status = false;     // TAS
  bool operator==(const mode_state&) const = default;
};

/// What the unit starts with, and what MODE SENSE gives as defaults.
mode_state default_mode_state(const unit_facts& unit);

/// MODE SENSE(6) and (10) data, cut to the allocation length [SPC-4 6.13, 6.14]. The WP bit follows
/// unit.read_only and SWP. `saved` is null where pages cannot be saved.
or_outcome<std::vector<std::uint8_t>> mode_sense_data(const mode_sense_cdb& cdb, const unit_facts& unit,
                                                      const mode_state& current, const mode_state* saved = nullptr);

/// The state after MODE SELECT(6) or (10), or why not; nothing is changed in part [SPC-4 6.11, 6.12]. `list` holds what
/// arrived, at most the parameter list length. When the result differs from `current`, the caller tells other nexuses
/// (asc::mode_parameters_changed). SP is refused unless `may_save`; saving is the caller's.
or_outcome<mode_state> apply_mode_select(const mode_select_cdb& cdb, const_bytes list, const unit_facts& unit,
                                         const mode_state& current, bool may_save = false);

}  // namespace sluice::scsi
