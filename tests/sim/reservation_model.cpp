#include "tests/sim/reservation_model.hpp"

#include <algorithm>

#include "actors/base/check.hpp"

namespace sluice::sim {
namespace {

constexpr std::size_t history_limit = 512;

bool all_registrants(unsigned type) {
  return type == 7 || type == 8;
}
bool registrants_only(unsigned type) {
  return type == 5 || type == 6;
}
bool holds(const reservation_state& s, unsigned initiator) {
  if (s.type == 0) return false;
  return all_registrants(s.type) ? s.keys.contains(initiator) : s.holder == initiator;
}
void end_reservation(reservation_state& s) {
  s.type = 0;
  s.holder.reset();
}
void take(reservation_state& s, unsigned initiator, unsigned type) {
  s.type = type;
  s.holder.reset();
  if (!all_registrants(type)) s.holder = initiator;
}
void unregister(reservation_state& s, unsigned initiator) {
  s.keys.erase(initiator);
  if (s.holder == initiator || s.keys.empty()) end_reservation(s);
}

pr_answer do_register(reservation_state& s, const pr_command& c) {
  const auto own = s.keys.find(c.initiator);
  if (c.action == pr_action::register_key && c.key != (own == s.keys.end() ? 0 : own->second))
    return pr_answer::conflict;
  if (c.action_key != 0)
    s.keys[c.initiator] = c.action_key;
  else if (own != s.keys.end())
    unregister(s, c.initiator);
  return pr_answer::good;
}

pr_answer do_preempt(reservation_state& s, const pr_command& c) {
  const bool everybody = all_registrants(s.type) && c.action_key == 0;
  if (!everybody && c.action_key == 0) return pr_answer::illegal;
  const bool takes_over = everybody || (s.holder && s.keys.at(*s.holder) == c.action_key);
  const bool known = std::any_of(s.keys.begin(), s.keys.end(), [&](const auto& e) { return e.second == c.action_key; });
  if (!takes_over && !known) return pr_answer::conflict;
  std::erase_if(s.keys, [&](const auto& entry) {
    if (takes_over && entry.first == c.initiator) return false;
    return everybody || entry.second == c.action_key;
  });
  if (takes_over)
    take(s, c.initiator, c.type);
  else if (s.keys.empty())
    end_reservation(s);
  return pr_answer::good;
}

}  // namespace

pr_answer execute(reservation_state& s, const pr_command& c) {
  if (c.action == pr_action::register_key || c.action == pr_action::register_and_ignore) return do_register(s, c);
  const auto own = s.keys.find(c.initiator);
  if (own == s.keys.end() || own->second != c.key) return pr_answer::conflict;
  switch (c.action) {
    case pr_action::reserve:
      if (s.type != 0) return holds(s, c.initiator) && s.type == c.type ? pr_answer::good : pr_answer::conflict;
      take(s, c.initiator, c.type);
      return pr_answer::good;
    case pr_action::release:
      if (!holds(s, c.initiator)) return pr_answer::good;
      if (c.type != s.type) return pr_answer::illegal;
      end_reservation(s);
      return pr_answer::good;
    case pr_action::clear:
      s = {};
      return pr_answer::good;
    default:
      return do_preempt(s, c);
  }
}

bool conflicts(const reservation_state& s, unsigned initiator, pr_need need) {
  if (need == pr_need::nothing || s.type == 0 || holds(s, initiator)) return false;
  if (registrants_only(s.type) && s.keys.contains(initiator)) return false;
  const bool write_exclusive = s.type == 1 || s.type == 5 || s.type == 7;
  return need == pr_need::writes || !write_exclusive;
}

void reservation_model::enter(states now) {
  states distinct;
  for (reservation_state& each : now)
    if (std::find(distinct.begin(), distinct.end(), each) == distinct.end()) distinct.push_back(std::move(each));
  history_.push_back({judge_.tick(), std::move(distinct)});
  if (history_.size() > history_limit) history_.pop_front();
}

void reservation_model::begin(const pr_command& command) {
  SLUICE_CHECK(!running_);
  running_ = command;
  before_ = history_.back().states;
  states now = before_;
  for (reservation_state each : before_) {
    execute(each, command);
    now.push_back(std::move(each));
  }
  enter(std::move(now));
}

std::set<unsigned> reservation_model::surely_preempted() const {
  std::optional<std::set<unsigned>> always;
  for (const reservation_state& before : before_) {
    reservation_state after = before;
    if (execute(after, *running_) != pr_answer::good) continue;
    std::set<unsigned> gone;
    for (const auto& [initiator, key] : before.keys)
      if (initiator != running_->initiator && !after.keys.contains(initiator) &&
          (!always || always->contains(initiator)))
        gone.insert(initiator);
    always = std::move(gone);
  }
  return always.value_or(std::set<unsigned>{});
}

void reservation_model::end(const pr_answer& answer) {
  states now;
  for (reservation_state each : before_)
    if (execute(each, *running_) == answer) now.push_back(std::move(each));
  if (now.empty())
    return judge_.fail("PERSISTENT RESERVE OUT action " + std::to_string(static_cast<int>(running_->action)) +
                       " of initiator " + std::to_string(running_->initiator) + ": unexpected answer " +
                       std::to_string(static_cast<int>(answer)));
  running_.reset();
  enter(std::move(now));
}

void reservation_model::undecided() {
  running_.reset();
}

void reservation_model::refused() {
  running_.reset();
  enter(before_);
}

bool reservation_model::any(unsigned initiator, pr_need need, std::uint64_t begun, bool conflict) const {
  for (auto it = history_.rbegin(); it != history_.rend(); ++it) {
    for (const reservation_state& each : it->states)
      if (conflicts(each, initiator, need) == conflict) return true;
    if (it->since <= begun) break;
  }
  return false;
}

void reservation_model::seen(const std::vector<std::uint64_t>& sorted_keys, std::uint64_t begun) {
  const auto agrees = [&](const reservation_state& each) {
    std::vector<std::uint64_t> keys;
    for (const auto& [initiator, key] : each.keys) keys.push_back(key);
    std::sort(keys.begin(), keys.end());
    return keys == sorted_keys;
  };
  for (auto it = history_.rbegin(); it != history_.rend(); ++it) {
    if (std::any_of(it->states.begin(), it->states.end(), agrees)) return;
    if (it->since <= begun) break;
  }
  judge_.fail("PERSISTENT RESERVE IN: keys that cannot be registered");
}

}  // namespace sluice::sim
