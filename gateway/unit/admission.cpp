#include "gateway/unit/shard.hpp"

namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

std::optional<scsi::outcome> access_obstacle(scsi::asymmetric_access state, scsi::access_rule rule) {
  using scsi::access_rule;
  using scsi::asymmetric_access;
  if (rule == access_rule::any_state) return std::nullopt;
  switch (state) {
    case asymmetric_access::active_optimized:
    case asymmetric_access::active_non_optimized:
      return std::nullopt;
    case asymmetric_access::standby:
      if (rule == access_rule::not_unavailable) return std::nullopt;
      return outcomes::not_ready(scsi::asc::target_port_in_standby);
    case asymmetric_access::unavailable:
    case asymmetric_access::offline:
      return outcomes::not_ready(scsi::asc::target_port_unavailable);
    case asymmetric_access::transitioning:
      return outcomes::not_ready(scsi::asc::asymmetric_access_transition);
  }
  return std::nullopt;
}

/// A command whose CDB is refused is still the command that it is.
scsi::attention_rule attention_rule_of(const command& c) {
  if (c.row) return c.row->attention;
  const auto rows = scsi::rows_of(c.cdb().front());
  return rows.empty() ? scsi::attention_rule::reports : rows.front().attention;
}

}  // namespace

/// Why a task of a nexus that is not plain may not run, in the order of precedence [SAM-5 5.14, SPC-4 5.12.1, 5.15].
std::optional<scsi::outcome> shard::obstacle(command& c) noexcept {
  nexus_record& n = *c.nexus;
  const bool serves = snapshot_->serves == unit_snapshot::service::on && options_.term->holds();
  if (!serves && c.row && c.row->attention == scsi::attention_rule::reports)
    return snapshot_->serves != unit_snapshot::service::damaged
               ? outcomes::busy()
               : outcomes::not_ready(scsi::asc::manual_intervention_required);
  if (attention_rule_of(c) == scsi::attention_rule::reports) {
    if (const auto code = n.attentions.take()) {
      review(n);
      return outcomes::unit_attention(*code);
    }
    if (n.attentions.with_deferred([](deferred_error& e) { return e.take(); })) {
      review(n);
      return outcomes::deferred_write_error();
    }
  }
  if (!c.row) return std::nullopt;  // refused for what it is
  if (n.reserved_by_other && !c.row->under_reserve) return outcomes::reservation_conflict();
  if (reservations::conflicts(n.allowance, reservations::effective_rule(c.row->reservation, c.cdb())))
    return outcomes::reservation_conflict();
  if (auto why = access_obstacle(n.access, c.row->access)) return why;
  if (snapshot_->stopped && c.row->needs_medium) return outcomes::not_ready(scsi::asc::initializing_command_required);
  return std::nullopt;
}

/// Works out anew what stands in the way of a nexus; after each publication and each change of its unit attentions.
void shard::review(nexus_record& n) noexcept {
  const unit_snapshot& now = *snapshot_;
  n.allowance = now.reservations.reserved() ? reservations::allowance_of(now.reservations, n.who())
                                            : reservations::allowance::everything;
  n.reserved_by_other = now.reserve_holder != 0 && now.reserve_holder != n.identity->id;
  const scsi::target_port_group* group = now.group(n.identity->port.id.group);
  n.access = now.opening ? scsi::asymmetric_access::transitioning
             : now.owned ? agreement::access_through(now, options_.gateway)
             : group     ? group->state
                         : scsi::asymmetric_access::active_optimized;
  const bool active = n.access == scsi::asymmetric_access::active_optimized ||
                      n.access == scsi::asymmetric_access::active_non_optimized;
  // What the channels of a nexus share may come to be at any time.
  const bool nothing_to_tell = !n.attentions.shared() && n.attentions.empty() &&
                               !n.attentions.with_deferred([](const deferred_error& e) { return e.pending(); });
  n.plain = nothing_to_tell && !n.identity->relayed && n.allowance == reservations::allowance::everything &&
            !n.reserved_by_other && active && !now.stopped && now.serves == unit_snapshot::service::on &&
            !now.owned;  // else the lease is looked at
}

}  // namespace sluice::unit
