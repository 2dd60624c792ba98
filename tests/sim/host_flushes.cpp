#include <algorithm>
#include <utility>

#include "actors/wire/big_endian.hpp"
#include "gateway/scsi/asc.hpp"
#include "tests/sim/host.hpp"

// What a host hears of flushes that failed, and what it must.
namespace sluice::sim {

namespace {

bool is_deferred(const_bytes sense) {
  return !sense.empty() && ((sense[0] & 0x7f) == 0x71 || (sense[0] & 0x7f) == 0x73);
}

}  // namespace

bool host::hears_flushes(const op& o) {
  return o.unit && o.unit->lasting;
}

/// A write that was acknowledged, or the GOOD of a flush that has only begun.
void host::note_volatile(const op& o) {
  if (!hears_flushes(o)) return;
  const bool immediate = o.what == kind::flush;
  if (immediate || !o.unit->makes_durable(o.fua, o.begun))
    field_.deferred.acknowledged(number_, o.begun, field_.verdict.tick(), immediate || o.unit->caches(o.fua, o.begun));
}

/// Whether the answer is a deferred error: then the command was not done [SPC-4 4.5.7].
bool host::heard_deferred(const op& o, const answer& what) {
  if (what.status != 0x02 || !is_deferred(what.sense)) return false;
  if (field_.bug == plant::deferred_to_one && number_ != 0) {
    refused(o);
    return true;
  }
  if (what.sense.size() < 14 || !field_.media_fail) {
    bad(o, "no reason for a deferred error");
    return true;
  }
  const bool descriptor = (what.sense[0] & 0x7f) == 0x73;
  const unsigned key = (descriptor ? what.sense[1] : what.sense[2]) & 0x0f;
  if (key != 0x3 || wire::load16(what.sense, descriptor ? 2 : 12) != scsi::asc::write_error)
    bad(o, "a deferred error that is no write error");
  told_of_flush(o, false);
  told_once_more_ = field_.bug == plant::deferred_twice;
  refused(o);
  return true;
}

void host::told_of_flush(const op& o, bool by_its_own_flush) {
  if (!hears_flushes(o)) return;
  const bool may_be_late = !o.data_in_only || o.unit->changing || o.begun < o.unit->medium_since;
  const std::string wrong =
      field_.deferred.told(number_, {o.begun, o.begun_ns, by_its_own_flush, may_be_late}, field_.verdict.tick());
  if (!wrong.empty()) bad(o, wrong);
}

/// Parameter data of REQUEST SENSE tell as well, as sense would.
void host::read_sense(const op& o, const answer& what) {
  if (is_deferred(what.data)) told_of_flush(o, false);
}

/// The command was done, and reports what is pending for its nexus before that. Another one may have taken the report,
/// whose status waits for its data.
void host::check_reports(const op& o) {
  if (!hears_flushes(o) || o.what == kind::request_sense || o.what == kind::inquiry) return;
  if (std::exchange(told_once_more_, false)) return told_of_flush(o, false);
  const bool waits = std::any_of(ops_.begin(), ops_.end(), [&](const auto& entry) {
    return entry.second.unit == o.unit && !entry.second.data_in_only;
  });
  if (!waits && field_.deferred.must_have_told(number_, o.begun_ns))
    bad(o, "a flush failed on which acknowledged writes of this nexus depended, and it has not heard of that");
}

}  // namespace sluice::sim
