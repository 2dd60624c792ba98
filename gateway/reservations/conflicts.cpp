#include "gateway/reservations/conflicts.hpp"

#include "gateway/scsi/cdb.hpp"

namespace sluice::reservations {

allowance allowance_of(const state& now, const i_t& who) {
  if (!now.reserved() || now.holds(who)) return allowance::everything;
  if (is_registrants_only(now.type) && now.find(who)) return allowance::everything;
  return is_write_exclusive(now.type) ? allowance::reads : allowance::always_only;
}

scsi::reservation_rule effective_rule(scsi::reservation_rule rule, const_bytes cdb) {
  using scsi::reservation_rule;
  if (rule == reservation_rule::start_stop) {
    const scsi::start_stop_cdb asked = scsi::decode_start_stop(cdb);
    return asked.start && asked.power_condition == 0 ? reservation_rule::always : reservation_rule::write_like;
  }
  if (rule == reservation_rule::prevent_allow)
    return scsi::decode_prevent(cdb) ? reservation_rule::write_like : reservation_rule::always;
  return rule;
}

namespace {

/// The nexus has by its persistent reservation what RESERVE would give it: the command succeeds and changes nothing.
bool already_served(const state& persistent, const i_t& who) {
  if (persistent.holds(who)) return true;
  return is_registrants_only(persistent.type) && persistent.find(who);
}

}  // namespace

bool reserve(const state& persistent, const i_t& who, std::uint64_t nexus, std::uint64_t& holder) {
  if (already_served(persistent, who)) return true;
  if (!persistent.registrants.empty()) return false;
  if (holder != 0 && holder != nexus) return false;
  holder = nexus;
  return true;
}

bool release(const state& persistent, const i_t& who, std::uint64_t nexus, std::uint64_t& holder) {
  if (already_served(persistent, who)) return true;
  if (!persistent.registrants.empty()) return false;
  if (holder == nexus) holder = 0;
  return true;
}

}  // namespace sluice::reservations
