#include "tests/agreement/oracle.hpp"

#include <algorithm>
#include <cstdio>

#include "actors/wire/big_endian.hpp"
#include "gateway/agreement/codec.hpp"
#include "gateway/scsi/asc.hpp"

namespace sluice::agreement_sim {

namespace {

namespace asc = scsi::asc;

unsigned i_t_of(const reservations::i_t& who) {
  const unsigned host = static_cast<unsigned>(who.initiator.name.back() - '0');
  return host * max_gateways + who.relative_target_port - 1;
}

sim::reservation_state model_of(const reservations::state& now) {
  sim::reservation_state s;
  for (const reservations::registrant& r : now.registrants) s.keys[i_t_of(r.who)] = r.key;
  s.type = static_cast<unsigned>(now.type);
  if (now.holder) s.holder = i_t_of(*now.holder);
  return s;
}

/// Those whose registration a command of somebody else has ended.
std::vector<unsigned> ousted(const sim::reservation_state& before, const sim::reservation_state& after, unsigned by) {
  std::vector<unsigned> those;
  for (const auto& [i_t, key] : before.keys)
    if (i_t != by && !after.keys.contains(i_t)) those.push_back(i_t);
  return those;
}

std::string number(std::uint64_t n) {
  return std::to_string(n);
}

}  // namespace

void oracle::fail(const std::string& why) {
  if (failure_.empty()) failure_ = why;
}

// -- commits -------------------------------------------------------------------------------------------------------

void oracle::committed(const state::record& now) {
  if (now.epoch != newest_ + 1) return fail("epoch " + number(now.epoch) + " is committed after " + number(newest_));
  newest_ = now.epoch;
  const auto agreed = agreement::decode(now.content, now.epoch);
  if (!agreed) return fail("a record that cannot be read: " + agreed.error().message);
  const unit_state before = states_.rbegin()->second;
  const unit_state seen{model_of(agreed->reservations), agreed->reserve_holder, agreed->reservations.aptpl};
  unit_state next = before;
  asked* cause = nullptr;
  if (agreed->events.empty() || agreed->events.back().epoch != now.epoch)
    return fail("epoch " + number(now.epoch) + " has no event");
  if (const std::uint64_t nexus = agreed->events.back().nexus; nexus != 0) {
    if (!last_.contains(nexus)) return fail("a commit for a nexus that asked for nothing");
    cause = last_.at(nexus);
  }
  attribute(now.epoch, cause, next);
  if (verbose)
    std::printf("           epoch %llu: nexus %llx kind %d action %d key %llx of %llu members, %zu events\n",
                static_cast<unsigned long long>(now.epoch), static_cast<unsigned long long>(cause ? cause->nexus : 0),
                cause ? static_cast<int>(cause->what) : -1, cause ? static_cast<int>(cause->pr.action) : -1,
                static_cast<unsigned long long>(cause ? cause->pr.action_key : 0),
                static_cast<unsigned long long>(agreed->members.size()), agreed->events.size());
  if (!cause) {
    // Members come and go, and nexuses: only what was theirs may go with them.
    if (seen.holder == 0) next.holder = 0;
    if (agreed->members.size() == 1 && !before.aptpl && seen.reservations == sim::reservation_state{})
      next.reservations = {};  // nobody else was there: the unit was without power
  }
  next.aptpl = seen.aptpl;
  if (next.reservations != seen.reservations || next.holder != seen.holder)
    fail("epoch " + number(now.epoch) + " is not what the model makes of the one before");
  states_[now.epoch] = next;
}

bool oracle::apply(asked& cause, unit_state& next) const {
  switch (cause.what) {
    case asked::kind::reservation:
      return next.holder == 0 && sim::execute(next.reservations, cause.pr) == sim::pr_answer::good;
    case asked::kind::reserve:
      if (next.holder != 0 && next.holder != cause.nexus) return false;
      next.holder = cause.nexus;
      return true;
    case asked::kind::release:
      if (next.holder == cause.nexus) next.holder = 0;
      return true;
    case asked::kind::reset:
      next.holder = 0;
      return true;
    case asked::kind::mode_select:
      return true;
    case asked::kind::probe:
      break;
  }
  return false;
}

void oracle::attribute(std::uint64_t epoch, asked* cause, unit_state& next) {
  if (!cause) return;
  // A reset whose fate was not known is done again: twice is the same.
  if (cause->committed != 0 && cause->what != asked::kind::reset)
    return fail("a command of kind " + number(static_cast<unsigned>(cause->what)) + " was done in epochs " +
                number(cause->committed) + " and " + number(epoch));
  cause->committed = epoch;
  const sim::reservation_state before = next.reservations;
  if (!apply(*cause, next)) return fail("epoch " + number(epoch) + ": the model refuses what was committed");
  if (cause->what != asked::kind::reservation) return;
  using action = sim::pr_action;
  const bool preempts = cause->pr.action == action::preempt || cause->pr.action == action::preempt_and_abort;
  if (preempts || cause->pr.action == action::clear)
    for (const unsigned i_t : ousted(before, next.reservations, cause->pr.initiator))
      owe(epoch, i_t, preempts ? asc::registrations_preempted : asc::reservations_preempted);
}

void oracle::owe(std::uint64_t epoch, unsigned i_t, scsi::additional_sense code) {
  told_.push_back({epoch, i_t, code});
  for (auto& [nexus, record] : live_)
    if (record.i_t == i_t && record.since < epoch) record.dues.push_back({code, epoch});
}

// -- gateways --------------------------------------------------------------------------------------------------------

void oracle::published(gateway_id gateway, std::uint64_t epoch) {
  std::uint64_t& last = published_[gateway];
  if (epoch > newest_)
    fail("gateway " + number(gateway) + " obeys epoch " + number(epoch) + ", which is not committed");
  if (epoch < last) fail("gateway " + number(gateway) + " goes back to epoch " + number(epoch));
  last = std::max(last, epoch);
}

// -- initiators ------------------------------------------------------------------------------------------------------

void oracle::attached(std::uint64_t nexus, unsigned i_t, std::uint64_t since_epoch) {
  live_[nexus] = {i_t, since_epoch, {}, {}};
}
void oracle::detached(std::uint64_t nexus) {
  live_.erase(nexus);
}

void oracle::begin(asked& command) {
  command.floor = acknowledged_;
  if (command.what == asked::kind::reset) command.covers = blocks.covered();
  last_[command.nexus] = &command;
}

template <class Fits>
bool oracle::some_state(const asked& command, Fits fits) const {
  for (auto it = states_.lower_bound(command.floor); it != states_.end(); ++it)
    if (fits(it->second)) return true;
  return false;
}

void oracle::given_up(asked& command) {
  command.ended = true;
  if (verbose && command.block)
    std::printf("           nexus %llx gives up %s %llu, block %u\n", static_cast<unsigned long long>(command.nexus),
                command.block->reads ? "a read of" : "its write of",
                static_cast<unsigned long long>(command.block->number), command.block->block);
  if (command.block) blocks.over(*command.block);
}

void oracle::answered(asked& command, const scsi::outcome& outcome, const std::vector<std::uint8_t>& data) {
  if (command.block) look_at_block(command, outcome, data);
  judge(command, outcome);
}

void oracle::look_at_block(const asked& command, const scsi::outcome& outcome, const std::vector<std::uint8_t>& data) {
  const block_model::question& q = *command.block;
  if (verbose)
    std::printf("           nexus %llx %s %llu %s block %u\n", static_cast<unsigned long long>(command.nexus),
                q.reads ? "reads at least" : "writes", static_cast<unsigned long long>(q.number),
                q.reads ? "from" : "to", q.block);
  blocks.over(q);
  if (outcome.status != scsi::status::good) return;
  if (!q.reads) return blocks.written(q);
  const std::uint64_t found = data.size() == 512 ? wire::load64(data, 0) : 0;
  if (data.size() != 512 || !blocks.found(q, found))
    fail("nexus " + number(command.nexus) + " finds " + number(found) + " in block " + number(q.block) +
         ", which is known to hold " + number(q.number) + " or more, and of which a reset has ended " +
         number(q.ended));
}

void oracle::judge(asked& command, const scsi::outcome& outcome) {
  command.ended = true;
  if (verbose)
    std::printf("           nexus %llx kind %d action %d key %llx: status %d sense %x, epoch %llu\n",
                static_cast<unsigned long long>(command.nexus), static_cast<int>(command.what),
                static_cast<int>(command.pr.action), static_cast<unsigned long long>(command.pr.action_key),
                static_cast<int>(outcome.status), outcome.sense.code,
                static_cast<unsigned long long>(command.committed));
  if (outcome.status == scsi::status::task_aborted) return;  // done or not
  if (outcome.status == scsi::status::busy) {
    if (command.committed != 0) fail("BUSY for a command that was done");
    return;
  }
  if (outcome.status == scsi::status::check_condition && outcome.sense.key == scsi::sense_key::unit_attention) {
    if (command.committed != 0) fail("a unit attention for a command that was done");
    return heard(command.nexus, outcome.sense.code);
  }
  // Nobody knows whether the blocks were written.
  const bool is_aborted =
      outcome.status == scsi::status::check_condition && outcome.sense.key == scsi::sense_key::aborted_command;
  if (command.block && is_aborted) return;
  // Not through this gateway, or not now.
  if (outcome.status == scsi::status::check_condition && outcome.sense.key == scsi::sense_key::not_ready) {
    if (command.committed != 0) fail("NOT READY for a command that was done");
    return;
  }
  if (live_.contains(command.nexus))
    for (const due& d : live_.at(command.nexus).dues)
      if (d.epoch <= command.floor)
        return fail("nexus " + number(command.nexus) + " is not told first of what epoch " + number(d.epoch) +
                    " did to it");
  const bool good = outcome.status == scsi::status::good;
  const bool conflict = outcome.status == scsi::status::reservation_conflict;
  if (good && command.committed != 0) {
    acknowledged_ = std::max(acknowledged_, command.committed);
    return;
  }
  if (command.committed != 0)
    return fail("a command that was done is answered with " + number(static_cast<unsigned>(outcome.status)));
  const unsigned i_t = live_.contains(command.nexus) ? live_.at(command.nexus).i_t : command.pr.initiator;
  const bool right = some_state(command, [&](const unit_state& s) {
    const bool by_reserve = s.holder != 0 && s.holder != command.nexus;
    switch (command.what) {
      case asked::kind::probe:
      case asked::kind::mode_select: {
        const bool reads = command.block && command.block->reads;
        const bool conflicts =
            by_reserve || sim::conflicts(s.reservations, i_t, reads ? sim::pr_need::reads : sim::pr_need::writes);
        return conflict ? conflicts : good && !conflicts;
      }
      case asked::kind::reservation: {
        if (s.holder != 0) return conflict;
        unit_state after = s;
        const sim::pr_answer answer = sim::execute(after.reservations, command.pr);
        if (answer == sim::pr_answer::good) return good && after.reservations == s.reservations;
        return answer == sim::pr_answer::conflict ? conflict : !good && !conflict;
      }
      case asked::kind::reserve:
      case asked::kind::release: {
        // Without commit: it holds already, or has nothing to give back; or others keep it out.
        const bool pr = sim::conflicts(s.reservations, i_t, sim::pr_need::writes) || !s.reservations.keys.empty();
        if (conflict) return by_reserve || pr;
        return good && (command.what == asked::kind::release || s.holder == command.nexus || pr);
      }
      case asked::kind::reset:
        return true;
    }
    return false;
  });
  if (!right)
    fail("nexus " + number(command.nexus) + ": status " + number(static_cast<unsigned>(outcome.status)) +
         " for a command of kind " + number(static_cast<unsigned>(command.what)) + " is right in no epoch from " +
         number(command.floor) + " to " + number(newest_));
}

void oracle::reset_answered(asked& command) {
  command.ended = true;
  blocks.end(command.covers);
  if (command.committed != 0) acknowledged_ = std::max(acknowledged_, command.committed);
}

void oracle::heard(std::uint64_t nexus, scsi::additional_sense code) {
  const auto found = live_.find(nexus);
  if (found == live_.end()) return;
  nexus_record& record = found->second;
  const bool reset = code >> 8 == 0x29;
  std::erase_if(record.dues, [&](const due& d) { return reset || d.code == code; });
  if (code != asc::registrations_preempted && code != asc::reservations_preempted) return;
  const auto events = static_cast<unsigned>(std::count_if(told_.begin(), told_.end(), [&](const told& t) {
    return t.i_t == record.i_t && t.code == code && t.epoch > record.since;
  }));
  if (++record.heard[code] > events) fail("nexus " + number(nexus) + " hears of one preemption twice");
}

void oracle::settle() {
  for (const auto& [nexus, record] : live_)
    for (const due& d : record.dues)
      fail("nexus " + number(nexus) + " never hears of what epoch " + number(d.epoch) + " did to it");
}

}  // namespace sluice::agreement_sim
