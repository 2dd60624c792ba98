#include <algorithm>
#include <utility>

#include "tests/sim/host.hpp"

// Hosts that stand still, and what others may expect who take their commands away.
namespace sluice::sim {

namespace {
// Task management, PREEMPT AND ABORT, logout and login: docs/operations.md.
constexpr std::uint64_t promise_ns = ns_per_s;
// A target that hears nothing for so long may end the connection; by default it asks after 30 s and waits for 30 s.
constexpr std::uint64_t unheard_ns = 55 * ns_per_s;
constexpr std::uint64_t after_thaw_ns = 4 * ns_per_s;
constexpr std::uint64_t largest_command_bytes = 1200 * sector_bytes;
}  // namespace

void host::owe(bool on) {
  owes_ = on;
  session_->owe(on);
  if (!on) wait_anew();
}

/// What it has asked for it waits for from here on.
void host::wait_anew() {
  for (auto& [tag, o] : ops_) o.watched_ns = field_.world.now_ns();
}

void host::freeze(stillness how) {
  if (stands_still() || !logged_in()) return;
  still_since_ns_ = field_.world.now_ns();
  stood_still_ = true;
  ++field_.standing_still;
  if (how == stillness::frozen)
    session_->stand_still(true);
  else
    session_->owe(true);
}

void host::thaw() {
  if (!stands_still()) return;
  const std::uint64_t now = field_.world.now_ns();
  const std::uint64_t since = std::exchange(still_since_ns_, 0);
  --field_.standing_still;
  wait_anew();
  disturb(after_thaw_ns);
  // What broke before, it may not have noticed yet. It may have had nothing to say for a while before it stood still.
  if (std::max(field_.broken_until, may_break_until_ns_) > since || now - sent_ns_ > unheard_ns)
    may_break_until_ns_ = now + after_thaw_ns;
  session_->owe(false);
  session_->stand_still(false);
  pump();
}

void host::reboot() {
  if (!stands_still() || !session_->up()) return;
  still_since_ns_ = 0;
  --field_.standing_still;
  session_->abandon();
  left_standing_.push_back(std::exchange(session_, make_session()));
  was_up_ = false;
  drop_commands();
  disturbed_until_ns_ = std::max(disturbed_until_ns_, field_.broken_until);
  login_since_ns_ = field_.world.now_ns() + 30 * ns_per_ms;
  loop_->arm(retry_, (1 + below(30)) * ns_per_ms);
}

void host::fence(unsigned victim) {
  if (!logged_in() || stands_still()) return;
  unit_view& unit = *field_.units[0];
  const reservation_state& now = unit.reservations.guess();
  if (unit.reserving || chance(0.4)) return reset_unit(unit);
  op o = make(kind::reserve_out, unit);
  const auto own = now.keys.find(number_), theirs = now.keys.find(victim);
  if (own != now.keys.end() && theirs != now.keys.end()) {
    o.reservation.action = pr_action::preempt_and_abort;
    o.reservation.key = own->second;
    o.reservation.action_key = theirs->second;
  } else {
    o.reservation.action = pr_action::register_and_ignore;
    o.reservation.action_key = 0x1000 + number_;
  }
  constexpr std::uint8_t ordered = 2;  // [RFC7143 11.3.1]
  o.behind_ordered = std::any_of(ops_.begin(), ops_.end(), [&](const auto& each) {
    return each.second.unit == &unit && each.second.out.attribute == ordered;
  });
  encode_reserve_out(o);
  send(std::move(o));
}

void host::disturb(std::uint64_t for_ns) {
  disturbed_until_ns_ = std::max(disturbed_until_ns_, field_.world.now_ns() + for_ns);
}

bool host::may_break() const {
  return field_.may_break() || field_.world.now_ns() < may_break_until_ns_;
}

/// Whether the answer that has just come is later than the target promises, whatever other hosts do.
bool host::breach_of_promise(const char* what, std::uint64_t begun_ns) {
  const std::uint64_t now = field_.world.now_ns();
  if (begun_ns == 0 || begun_ns > now || begun_ns <= std::max(disturbed_until_ns_, field_.slow_until_ns)) return false;
  if (may_break()) return false;
  if (stands_still()) return false;  // it owes what the answer waits for
  // Its own data are before it, in both directions.
  const reactor::sim_options& o = field_.world.options();
  const std::uint64_t windows = 2 * depth_ * largest_command_bytes / o.send_buffer_bytes;
  const std::uint64_t allowed = promise_ns + windows * 4 * o.network_latency_ns.most;
  if (now - begun_ns <= allowed) return false;
  field_.verdict.fail("host " + std::to_string(number_) + ": " + what + " is answered after " +
                      std::to_string((now - begun_ns) / ns_per_ms) + " ms, " + std::to_string(field_.standing_still) +
                      " hosts stand still");
  return true;
}

/// Whether the planted bug keeps an answer, which comes again later.
bool host::held_back(std::function<void()> again) {
  if (field_.bug != plant::fencing_waits || field_.standing_still == 0 || field_.verdict.failed()) return false;
  field_.world.after(20 * ns_per_ms, std::move(again));
  return true;
}

void host::tell_fenced(unit_view& unit, std::uint64_t begun, const std::set<unsigned>& victims) {
  for (const unsigned each : victims)
    if (each != number_ && field_.hosts[each]) field_.hosts[each]->on_fenced(unit, begun);
}

const std::set<unsigned>& host::everybody() {
  static const std::set<unsigned> all{0, 1, 2, 3};
  static_assert(max_hosts == 4);
  return all;
}

/// Only of what the target was known to have: the rest may come later [SAM-5 7.7].
void host::on_fenced(unit_view& unit, std::uint64_t begun) {
  for (const auto& [tag, o] : ops_) {
    const std::uint64_t received = session_->received_at(tag);
    if (o.unit == &unit && writes(o) && received != 0 && received < begun) unit.medium.stopped(o.number);
  }
}

}  // namespace sluice::sim
