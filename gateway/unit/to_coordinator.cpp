#include <algorithm>

#include "gateway/scsi/parameter_lists.hpp"
#include "gateway/unit/jobs.hpp"

namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

bool stops(const command& c) {
  const scsi::start_stop_cdb cdb = scsi::decode_start_stop(c.cdb());
  return !cdb.start && !cdb.no_flush && cdb.power_condition == 0;
}

bool ends_write_back(const unit_snapshot& now, const command& c, const_bytes parameters) {
  if (!now.writes_back()) return false;
  const auto selected =
      scsi::apply_mode_select(scsi::decode_mode_select(*c.row, c.cdb()), parameters, now.facts, now.mode, true);
  return selected && !selected->write_cache;
}

/// A unit that is stopped, or does not write back any more, has its writes on the medium [SBC-3 5.25, 6.4.5]. This
/// flush is the one whose failure the command reports, before anything is changed; what is written meanwhile is left to
/// the shards, see on(publication&).
bool needs_flush(const unit_snapshot& now, const command& c, const_bytes parameters) {
  if (c.row->what == scsi::command::start_stop_unit) return stops(c);
  return c.row->what == scsi::command::mode_select && ends_write_back(now, c, parameters);
}

}  // namespace

/// Commands that change agreed state: the parameter list is gathered here, the coordinator does the rest.
job send_to_coordinator(shard& s, command& c) {
  constexpr std::uint64_t longest_list = 64 * kib;
  port::task& t = *c.task;
  std::vector<std::uint8_t> parameters;
  if (c.row->direction == scsi::data_direction::out) {
    t.length_out = scsi::parameter_length(*c.row, c.cdb());
    if (t.length_out > longest_list) co_return outcomes::parameter_list_length_error();
    const std::uint64_t offered = std::min(t.length_out, t.expected_data_out);
    const bool arrived = co_await data_until{s, c, offered};
    if (!arrived) co_return outcomes::good();
    parameters.resize(offered);
    copy_data_out(c, 0, parameters);
  }
  if (needs_flush(s.snapshot(), c, parameters)) {
    const scsi::outcome clean = co_await flushed{s, c};
    if (clean.status != scsi::status::good) co_return clean;
  }
  const scsi::outcome outcome = co_await coordinator_does{s, c, parameters};
  co_return outcome;
}

}  // namespace sluice::unit
