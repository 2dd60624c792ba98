#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "tests/sim/judge.hpp"

namespace sluice::sim {

/// Persistent reservations of one logical unit as initiators may expect them [SPC-4 5.12], written anew from the
/// standard's tables: it shares nothing with the gateway's.
struct reservation_state {
  std::map<unsigned, std::uint64_t> keys;  // by initiator
  unsigned type = 0;                       // 0: no reservation
  std::optional<unsigned> holder;          // of a reservation that one initiator holds
  bool operator==(const reservation_state&) const = default;
};

enum class pr_action : std::uint8_t {
  register_key = 0,
  reserve = 1,
  release = 2,
  clear = 3,
  preempt = 4,
  preempt_and_abort = 5,
  register_and_ignore = 6,
};

struct pr_command {
  unsigned initiator = 0;
  pr_action action = pr_action::register_key;
  unsigned type = 0;
  std::uint64_t key = 0, action_key = 0;
};

enum class pr_answer : std::uint8_t { good, conflict, illegal };

/// What a command needs of reservations [SPC-4 table 59, SBC-3 table 13].
enum class pr_need : std::uint8_t { nothing, reads, writes };

/// Carries out a command; the state changes when the answer is good.
pr_answer execute(reservation_state& state, const pr_command& command);
bool conflicts(const reservation_state& state, unsigned initiator, pr_need need);

/// The states that a unit may be in, over time. One PERSISTENT RESERVE OUT at a time is in flight (the workload sees to
/// it); until it is answered, both what was before and what comes after it are possible.
class reservation_model {
 public:
  explicit reservation_model(judge& told) : judge_(told), history_{{0, {reservation_state{}}}} {}

  void begin(const pr_command& command);
  /// Whose registrations the command in flight removes, if it is good, in each state that is possible.
  std::set<unsigned> surely_preempted() const;
  void end(const pr_answer& answer);
  /// It did something or nothing, and will do nothing more.
  void undecided();
  /// It was refused before it began.
  void refused();

  /// A command of `initiator` began at `begun` and has just ended: was this answer possible?
  bool may_conflict(unsigned initiator, pr_need need, std::uint64_t begun) const {
    return any(initiator, need, begun, true);
  }
  bool may_pass(unsigned initiator, pr_need need, std::uint64_t begun) const {
    return any(initiator, need, begun, false);
  }
  /// What PERSISTENT RESERVE IN said of keys and holder.
  void seen(const std::vector<std::uint64_t>& sorted_keys, std::uint64_t begun);
  /// One state that is possible now.
  const reservation_state& guess() const { return history_.back().states.front(); }

 private:
  using states = std::vector<reservation_state>;
  struct era {
    std::uint64_t since;
    reservation_model::states states;
  };
  bool any(unsigned initiator, pr_need need, std::uint64_t begun, bool conflict) const;
  void enter(states now);

  judge& judge_;
  std::deque<era> history_;
  states before_;
  std::optional<pr_command> running_;
};

}  // namespace sluice::sim
