#pragma once
#include <optional>

#include "config/schema/plan.hpp"
#include "gateway/daemon/owners.hpp"
#include "gateway/daemon/running.hpp"

namespace sluice::daemon {

/// One gateway: stores, units, targets and ports as the configuration says, on given cores. Real hardware and the
/// simulator differ only in `parts`. Its calls block and come from one control thread at a time, but for those that say
/// otherwise.
class gateway {
 public:
  using agreeing = std::function<result<void>(const config::plan& what)>;

  /// Blocks while it reads the state store.
  static result<std::unique_ptr<gateway>> make(const parts& made_of);
  /// stop() has returned.
  ~gateway();

  /// What apply() would do, and what it would refuse. Changes nothing, and waits for no medium that is in use. Any
  /// thread but a loop's.
  config::plan plan(std::shared_ptr<const config::model> wanted);
  /// Makes what runs equal to `wanted`, and returns what was done. All or nothing: everything that can fail is tried
  /// before anything that initiators can see changes; a failure leaves the gateway as it was, and so does a plan with
  /// refusals. `tell` hears of each step as it is prepared; `agree` is asked when all are, with what will be done: an
  /// error of it is a failure.
  result<config::plan> apply(std::shared_ptr<const config::model> wanted,
                             const std::function<void(const std::string&)>& tell, const agreeing& agree = {});
  /// apply() of a gateway that begins: a unit that initiators know and that cannot be had does not keep the others from
  /// them. It is left out and shown as absent, with the reason, until an apply or try_absent() has it. All else is
  /// refused as ever.
  result<config::plan> start(std::shared_ptr<const config::model> wanted);
  /// Tries again to have what start() left out, if no apply has settled that since. Does not tell that nothing changed.
  void try_absent();
  /// The same as the first; refusals are an error.
  result<void> apply(const config::model& wanted);
  /// An apply that is under way is undone, unless it is being put in force; so is every later one. Any thread.
  void interrupt() { now_.interrupted = true; }
  /// For tests: the next apply fails in the place of its step of that number.
  void trip_at(std::optional<std::size_t> step) { trip_ = step; }

  /// Ends ports, nexuses, units and stores, in that order.
  void stop();
  /// Whether requests of units that were ended are still with a medium that does not answer: then the cores cannot be
  /// taken down, and the process should just end.
  bool is_stranded() const { return !now_.stranded.empty(); }
  /// Whether acknowledged data are lost now that it was stopped.
  bool has_lost_data() const { return now_.lost_at_end; }

  /// What runs. Any thread.
  std::shared_ptr<const running_snapshot> seen() const { return now_.seen(); }
  /// Every live nexus. Blocks for a turn of each loop. Any thread but a loop's.
  std::vector<nexus::nexus_info> nexuses();
  /// What knows the nexuses of one core; used on that core, where it may outlive the gateway.
  runtime::pinned_ref<nexus::core_actor> nexus_side(std::size_t core) const { return now_.core_actors[core]; }
  /// Ends one nexus; false when there is none of that number. Any thread but a loop's.
  bool kick(std::uint64_t nexus_id);
  /// The connections without a nexus of each fabric at work, by its name; any thread.
  std::map<std::string, std::shared_ptr<port::strangers>> strangers() const { return now_.all_strangers(); }
  /// Grows or shrinks the store under a unit; initiators hear CAPACITY DATA HAS CHANGED.
  result<void> resize(const std::string& unit, std::uint64_t size_bytes);
  /// Ends units that were taken away, as far as their media have answered by now.
  void end_units();
  /// Gives every unit the size that its medium has by now; initiators hear CAPACITY DATA HAS CHANGED.
  /// Stores that were changing go on when that is through.
  void follow_media();
  /// Drops every registration and reservation of a unit.
  result<void> clear_reservations(const std::string& unit);
  /// Which gateway of the cluster owns which unit. Its calls are the gateway's own.
  daemon::owners& owners() { return owners_; }
  /// Null: it is in none. Any thread.
  std::shared_ptr<const state::cluster_authority> cluster() const { return now_.made_of.cluster; }
  /// While it is held, nobody else changes stores. Any thread but a loop's.
  std::unique_lock<std::mutex> hold_changes() { return std::unique_lock(now_.changing); }
  /// "good", or what cannot be kept. Any thread.
  std::string state_health() const { return now_.made_of.state.health(); }
  const std::vector<runtime::core*>& cores() const { return now_.made_of.cores; }

 private:
  gateway(const parts& made_of, relative_ports numbers, std::unique_ptr<state::authority> authority);

  result<config::plan> apply_once(const std::shared_ptr<const config::model>& wanted,
                                  const std::function<void(const std::string&)>& tell, const agreeing& agree);
  void show_absent(std::vector<absent_unit> absent);

  running now_;
  daemon::owners owners_{now_};
  std::shared_ptr<const config::model> asked_of_start_;  // null: all of it is there
  std::optional<std::size_t> trip_;
};

}  // namespace sluice::daemon
