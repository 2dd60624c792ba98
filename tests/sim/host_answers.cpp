#include <algorithm>

#include "actors/wire/big_endian.hpp"
#include "gateway/scsi/asc.hpp"
#include "tests/sim/host.hpp"

// What a host makes of answers.
namespace sluice::sim {

void host::bad(const op& o, const std::string& why) {
  static constexpr const char* names[] = {"READ",
                                          "WRITE",
                                          "WRITE SAME",
                                          "UNMAP",
                                          "COMPARE AND WRITE",
                                          "SYNCHRONIZE CACHE",
                                          "TEST UNIT READY",
                                          "REQUEST SENSE",
                                          "INQUIRY",
                                          "READ CAPACITY",
                                          "PERSISTENT RESERVE OUT",
                                          "PERSISTENT RESERVE IN",
                                          "MODE SELECT",
                                          "TEST UNIT READY of a LUN that comes and goes"};
  field_.verdict.fail("host " + std::to_string(number_) + ", command " + std::to_string(o.number) + " (" +
                      names[static_cast<int>(o.what)] + (o.unit ? " of " + o.unit->name : "") + ", sectors " +
                      std::to_string(o.where.first) + " + " + std::to_string(o.where.count) + "): " + why);
}

bool host::writes(const op& o) {
  return o.what == kind::write || o.what == kind::write_same || o.what == kind::unmap ||
         o.what == kind::compare_and_write;
}

pr_need host::need_of(const op& o) {
  if (writes(o) || o.what == kind::flush || o.what == kind::mode_select) return pr_need::writes;
  return o.what == kind::read ? pr_need::reads : pr_need::nothing;
}

/// Another of its kind may follow.
void host::end_exclusive(const op& o) {
  if (o.what == kind::mode_select) o.unit->selecting = false;
  if (o.what != kind::reserve_out) return;
  o.unit->reserving = false;
  if (o.reservation.action == pr_action::preempt_and_abort) o.unit->abort_ends(field_.verdict.tick());
}

/// The command did nothing.
void host::refused(const op& o) {
  if (o.what == kind::read || o.what == kind::compare_and_write) o.unit->medium.forget_read(o.number);
  if (writes(o)) o.unit->medium.refused(o.number);
  if (o.what == kind::mode_select) o.unit->cache = o.cache_before;
  if (o.what == kind::reserve_out) o.unit->reservations.refused();
  end_exclusive(o);
}

/// The command did something or nothing, and is over.
void host::undecided(const op& o) {
  if (o.what == kind::read || o.what == kind::compare_and_write) o.unit->medium.forget_read(o.number);
  if (writes(o)) o.unit->medium.undecided(o.number);
  if (o.what == kind::reserve_out) o.unit->reservations.undecided();
  if (hears_flushes(o)) field_.deferred.maybe_told(number_, field_.verdict.tick());
  end_exclusive(o);
}

void host::conclude(const op& o, const answer& what) {
  enum { good_status = 0x00, check = 0x02, busy = 0x08, conflict = 0x18, task_set_full = 0x28, aborted = 0x40 };
  switch (what.status) {
    case good_status:
      good(o, what);
      return check_reports(o);
    case check:
      return heard_deferred(o, what) ? void() : check_condition(o, what);
    case busy:
    case task_set_full:
      return refused(o);
    case aborted:
      if (!o.unit || !o.unit->may_be_silent(o.begun)) bad(o, "TASK ABORTED for no reason");
      return undecided(o);
    case conflict:
      if (o.what == kind::reserve_out) {
        o.unit->reservations.end(pr_answer::conflict);
        end_exclusive(o);
        return;
      }
      if (!o.unit || !o.unit->reservations.may_conflict(number_, need_of(o), o.begun))
        bad(o, "RESERVATION CONFLICT that no reservation explains");
      return refused(o);
    default:
      return bad(o, "status " + std::to_string(what.status));
  }
}

void host::good_reserve_out(const op& o) {
  reservation_model& model = o.unit->reservations;
  const bool aborts = o.reservation.action == pr_action::preempt_and_abort;
  const std::set<unsigned> preempted = aborts ? model.surely_preempted() : std::set<unsigned>{};
  model.end(pr_answer::good);
  end_exclusive(o);
  if (aborts && !o.behind_ordered && breach_of_promise("PREEMPT AND ABORT", o.begun_ns)) return;
  tell_fenced(*o.unit, o.begun, preempted);
}

void host::good(const op& o, const answer& what) {
  if (what.overflow) return bad(o, "an overflow");
  const bool fixed_length =
      o.what == kind::read || writes(o) || o.what == kind::reserve_out || o.what == kind::mode_select;
  if (fixed_length && (what.underflow || what.residual != 0)) return bad(o, "a residual");
  if (o.unit && !o.unit->reservations.may_pass(number_, need_of(o), o.begun))
    return bad(o, "GOOD in spite of a reservation");
  medium_model* medium = o.unit ? &o.unit->medium : nullptr;
  switch (o.what) {
    case kind::read:
      return good_read(o, what);
    case kind::compare_and_write:
      if (!medium->possible(o.number, o.claimed))
        return bad(o, "GOOD, but the sectors cannot have held what it compared");
      medium->forget_read(o.number);
      [[fallthrough]];
    case kind::write:
    case kind::write_same:
    case kind::unmap:
      note_volatile(o);
      medium->end_write(o.number, o.unit->makes_durable(o.fua, o.begun));
      if (o.what == kind::write && o.unit->makes_all_durable(o.fua, o.begun)) medium->acknowledged_flushed(o.begun);
      return;
    case kind::flush:
      return o.immediate ? note_volatile(o) : medium->flushed(o.begun);
    case kind::request_sense:
      return read_sense(o, what);
    case kind::capacity: {
      if (what.data.size() < 32) return bad(o, "too little data");
      const std::uint64_t octets = (wire::load64(what.data, 0) + 1) * wire::load32(what.data, 8);
      if (!o.unit->capacities.contains(octets)) bad(o, "a capacity that the unit never had");
      return;
    }
    case kind::reserve_out:
      return good_reserve_out(o);
    case kind::mode_select:
      o.unit->cache = o.cache_wanted;
      o.unit->cache_since = field_.verdict.tick();
      // What was acknowledged before is on the medium [SBC-3 6.4.5].
      if (o.cache_wanted == unit_view::write_cache::off && o.cache_before == unit_view::write_cache::on)
        medium->flushed(o.begun);
      return end_exclusive(o);
    case kind::reserve_in: {
      if (what.data.size() < 8) return bad(o, "too little data");
      const std::uint32_t length = wire::load32(what.data, 4);
      if (length + 8 > what.data.size()) return bad(o, "a list longer than its data");
      std::vector<std::uint64_t> keys;
      for (std::uint32_t at = 8; at + 8 <= length + 8; at += 8) keys.push_back(wire::load64(what.data, at));
      std::sort(keys.begin(), keys.end());
      return o.unit->reservations.seen(keys, o.begun);
    }
    default:
      return;
  }
}

void host::good_read(const op& o, const answer& what) {
  if (o.beyond) return bad(o, "GOOD beyond the end");
  if (what.data.size() != o.where.count * sector_bytes) return bad(o, "data of a wrong length");
  std::vector<stamp> seen;
  for (std::uint64_t i = 0; i < o.where.count; ++i) {
    const auto found = read_stamp(const_bytes(what.data).subspan(i * sector_bytes, sector_bytes));
    if (!found) return bad(o, "sector " + std::to_string(o.where.first + i) + " is of no one piece");
    seen.push_back(*found);
    known_[o.unit->lun * std::uint64_t{1} << 32 | (o.where.first + i)] = *found;
  }
  o.unit->medium.end_read(o.number, seen, o.fua);
}

void host::check_condition(const op& o, const answer& what) {
  if (what.sense.size() < 14) return bad(o, "CHECK CONDITION without sense");
  const bool descriptor = (what.sense[0] & 0x7f) >= 0x72;
  const unsigned key = (descriptor ? what.sense[1] : what.sense[2]) & 0x0f;
  const std::uint16_t code = wire::load16(what.sense, descriptor ? 2 : 12);
  const std::string said = "sense key " + std::to_string(key) + ", " + scsi::to_string(scsi::additional_sense{code});
  switch (key) {
    case 0x6: {
      auto& causes = field_.attentions[number_];
      const auto cause = causes.find({o.out.lun, code});
      if (cause == causes.end() || cause->second == 0) return bad(o, "no reason for " + said);
      --cause->second;
      return refused(o);
    }
    case 0x3:
    case 0x4:
      if (!field_.media_fail || !o.unit || !o.unit->lasting) return bad(o, "no reason for " + said);
      if (code == scsi::asc::write_error && !writes(o)) told_of_flush(o, true);
      return o.what == kind::mode_select ? refused(o) : undecided(o);
    case 0x5:
      if (!o.unit && code == scsi::asc::logical_unit_not_supported) return;
      if (o.beyond && code == scsi::asc::lba_out_of_range) return refused(o);
      if (o.what != kind::reserve_out) return bad(o, said);
      o.unit->reservations.end(pr_answer::illegal);
      end_exclusive(o);
      return;
    case 0x2:
      if (!field_.media_hang || !o.unit || !o.unit->lasting || o.what != kind::test_ready ||
          code != scsi::asc::becoming_ready)
        return bad(o, "no reason for " + said);
      return;
    case 0xb: {
      if (code == scsi::asc::logical_unit_timeout && field_.media_hang && o.unit && o.unit->lasting)
        return undecided(o);
      const bool lost_its_data =
          code == scsi::asc::initiator_response_timeout || code == scsi::asc::io_process_terminated;
      if (!lost_its_data || !(session_->has_owed() || stood_still_)) return bad(o, "no reason for " + said);
      return undecided(o);
    }
    case 0xe:
      if (o.what != kind::compare_and_write) return bad(o, said);
      if (!o.unit->medium.possibly_other(o.number, o.claimed))
        bad(o, "MISCOMPARE, but the sectors hold what it compared");
      return refused(o);
    default:
      return bad(o, said);
  }
}

}  // namespace sluice::sim
