#include <algorithm>

#include "gateway/unit/shard.hpp"

// Answers that are held back, so that initiators which count how often they ask do not run out of patience while a
// medium is late: firmware gives up after a dozen attempts, hosts burn a processor.
namespace sluice::unit {

namespace outcomes = scsi::outcomes;

namespace {

/// How soon a unit that has become ready says so.
constexpr std::uint64_t look_every_ns = 20 * ns_per_ms;

}  // namespace

void shard::hold_back(command& c, const scsi::outcome& outcome, std::uint64_t patience_ns) noexcept {
  if (patience_ns == 0 || c.is_aborted() || c.nexus->leaving) return finish(c, outcome);
  c.with = command::place::nobody;
  c.coordinator_outcome = outcome;
  c.due_ns = loop_.now_ns() + patience_ns;
  held_.push_back(&c);
  if (!held_timer_.armed()) loop_.arm(held_timer_, look_every_ns);
  if (gate_) check_quiet();
}

void shard::test_ready(command& c) noexcept {
  if (const auto why = unready()) return hold_back(c, *why, options_.ready_patience_ns);
  finish(c, outcomes::good());
}

void shard::review_held() noexcept {
  const std::uint64_t now = loop_.now_ns();
  std::vector<std::uint64_t> over;  // an end sets off other things: the list changes
  for (command* c : held_) {
    const bool ready = c->row->what == scsi::command::test_unit_ready && !unready();
    if (ready) c->coordinator_outcome = outcomes::good();
    if (ready || now >= c->due_ns) over.push_back(c->serial);
  }
  for (const std::uint64_t serial : over) {
    const auto same = [serial](const command* c) { return c->serial == serial; };
    if (const auto found = std::find_if(held_.begin(), held_.end(), same); found != held_.end()) let_answer_go(**found);
  }
  if (!held_.empty() && !held_timer_.armed()) loop_.arm(held_timer_, look_every_ns);
}

void shard::let_answer_go(command& c) noexcept {
  std::erase(held_, &c);
  c.with = command::place::here;
  const scsi::outcome outcome = c.coordinator_outcome;
  finish(c, outcome);
}

}  // namespace sluice::unit
