#pragma once
#include <caf/all.hpp>
#include <map>
#include <memory>
#include <vector>

#include "gateway/daemon/gateway.hpp"
#include "tests/sim/judge.hpp"
#include "tests/sim/lasting_state.hpp"
#include "tests/sim/plants.hpp"

namespace sluice::sim {

/// The actor system of the process: one for all scenarios. Its pool has nothing to do: all actors are pinned to
/// simulated loops.
class actors {
 public:
  actors();
  caf::actor_system& system() { return *system_; }

 private:
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
};

/// A call of the gateway's did not come back in two simulated minutes: nothing can be torn down any more.
struct control_hangs : std::exception {
  const char* what() const noexcept override { return "a call of the control side does not come back"; }
};

/// A gateway on a simulated machine, which can be started, stopped, and lose its power, over and over.
class machine {
 public:
  /// Puts something of the scenario's own around a store that was opened. A cache lies over the file itself, not over
  /// what is around it for units.
  using around = std::function<std::shared_ptr<store::store>(std::shared_ptr<store::store>)>;
  struct surroundings {
    around files;  // whoever uses them
    around media;  // of the disk's unit: the file, or the cache over it
    /// Puts another fabric in the place of one that needs devices.
    std::function<port::fabric(port::fabric)> fabric;
  };
  machine(reactor::sim_world& world, actors& all, judge& told, unsigned reactors, plant bug, surroundings with = {});
  ~machine();

  /// Whether a refusal is one that the pages promise, as things are.
  using excuse = std::function<bool(const error&)>;
  /// Opens the gateway and applies. Steps the world until that is done. Whether it was, or is excused.
  bool start(const config::model& model, const excuse& may_be = {});
  void apply(const config::model& model);
  /// Whether it could be had; else it is excused, or an earlier change is not through yet.
  bool try_apply(const config::model& model, const excuse& may_be = {});
  /// As sluice unit resize --shrink: an apply never makes a store smaller.
  void resize(const std::string& unit, std::uint64_t size_bytes);
  /// Orderly; what a medium still owes then is over with the process.
  void stop();
  /// At once: unsynced writes are lost or torn, connections break. Tears the gateway down afterwards; `at_once` runs
  /// between the two.
  void lose_power(const std::function<void()>& at_once);
  bool running() const { return gateway_ != nullptr; }
  /// One of those that run.
  store::store& store(const std::string& name) { return *gateway_->seen()->stores.at(name); }
  /// The operator's doing, behind the initiators' backs.
  void clear_reservations(const std::string& unit);
  void kick_all();

  static constexpr unsigned first_loop = 0;
  unsigned reactors() const { return reactors_; }

 private:
  void surround(store::factory& each);
  void step();
  void unplug(reactor::sim_world::ending how);
  void tear_down();

  reactor::sim_world& world_;
  actors& actors_;
  judge& judge_;
  const unsigned reactors_;
  const plant bug_;
  const surroundings around_;
  std::map<const store::store*, std::weak_ptr<store::store>> files_;  // by what is around them for units
  store::registry stores_;
  port::registry fabrics_;
  std::unique_ptr<state::state_store> disk_state_;

  // Of one run.
  std::uint64_t hangs_at_ns_ = 0;
  std::unique_ptr<lasting_state> state_;
  std::vector<std::unique_ptr<reactor::loop>> loops_;
  std::vector<std::unique_ptr<runtime::core>> cores_;
  std::unique_ptr<daemon::gateway> gateway_;
};

}  // namespace sluice::sim
