#include <algorithm>

#include "gateway/unit/jobs.hpp"

namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

/// A unit that is stopped has its writes on the medium [SBC-3 5.25].
bool needs_flush(const command& c) {
  if (c.row->what != scsi::command::start_stop_unit) return false;
  const scsi::start_stop_cdb cdb = scsi::decode_start_stop(c.cdb());
  return !cdb.start && !cdb.no_flush && cdb.power_condition == 0;
}

}  // namespace

/// Commands that change agreed state: the parameter list is gathered here, the home does the rest.
job send_to_home(shard& s, command& c) {
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
  if (needs_flush(c)) {
    c.parts.clear();
    prepare(c, store::verb::flush, 0, 0);
    const store::status status = co_await medium{s, c};
    if (status != store::status::good) co_return outcome_of(status, c.io, s.block_size());
  }
  const scsi::outcome outcome = co_await home_does{s, c, parameters};
  co_return outcome;
}

}  // namespace sluice::unit
