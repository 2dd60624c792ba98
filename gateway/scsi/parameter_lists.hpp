#pragma once
#include <cstdint>
#include <vector>

#include "gateway/scsi/cdb.hpp"
#include "gateway/scsi/reports.hpp"
#include "gateway/scsi/transport_id.hpp"

/// Parameter lists that arrive as data-out. Every parser is total: any octets give a value or an outcome.
namespace sluice::scsi {

/// A run of blocks.
struct block_range {
  std::uint64_t lba = 0;
  std::uint64_t blocks = 0;
  bool operator==(const block_range&) const = default;
};

/// What UNMAP may ask of one command; the same figures as in VPD page B0h.
struct unmap_limits {
  std::uint64_t capacity_blocks = 0;
  std::uint64_t max_blocks = 0;  // of all descriptors together
  std::uint32_t max_descriptors = 0;
};
/// UNMAP parameter list [SBC-3 5.28.2]. An empty list (length 0), a header without descriptors, and descriptors without
/// blocks are no error. `list` is what arrived, no longer than the CDB's PARAMETER LIST LENGTH; a list that ends within
/// its header is a parameter list length error; a trailing part of a descriptor is not looked at.
or_outcome<std::vector<block_range>> parse_unmap(const_bytes list, const unmap_limits& limits);

/// PERSISTENT RESERVE OUT parameter list for every service action but REGISTER AND MOVE [SPC-4 6.16.3].
struct pr_out_list {
  std::uint64_t reservation_key = 0;
  std::uint64_t service_action_key = 0;
  bool spec_i_pt = false;
  bool all_tg_pt = false;
  bool aptpl = false;
  std::vector<transport_id> initiators;  // SPEC_I_PT
};
/// The list length rules: 24 octets unless SPEC_I_PT [SPC-4 6.16.2]; SPEC_I_PT, ALL_TG_PT and APTPL are refused or
/// ignored for actions they do not belong to as the standard says.
or_outcome<pr_out_list> parse_pr_out(pr_out_action action, const_bytes list);

/// REGISTER AND MOVE [SPC-4 6.16.4].
struct pr_move_list {
  std::uint64_t reservation_key = 0;
  std::uint64_t service_action_key = 0;
  bool unregister = false;
  bool aptpl = false;
  std::uint16_t relative_target_port = 0;
  transport_id destination;
};
or_outcome<pr_move_list> parse_pr_move(const_bytes list);

/// One descriptor of a SET TARGET PORT GROUPS parameter list [SPC-4 6.45].
struct wanted_group {
  std::size_t at = 0;  // its first octet in the list
  std::uint16_t number = 0;
  asymmetric_access state = asymmetric_access::active_optimized;
};
/// No descriptor is no error. Offline and transitioning cannot be asked for.
or_outcome<std::vector<wanted_group>> parse_wanted_groups(const_bytes list);

}  // namespace sluice::scsi
