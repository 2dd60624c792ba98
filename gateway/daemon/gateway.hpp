#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/schema/model.hpp"
#include "fabrics/port/fabric.hpp"
#include "gateway/access/directory.hpp"
#include "gateway/daemon/relative_ports.hpp"
#include "gateway/daemon/running_unit.hpp"
#include "gateway/nexus/nexus_actor.hpp"
#include "gateway/state/local_authority.hpp"
#include "gateway/state/state_store.hpp"
#include "tiers/store/store.hpp"

namespace sluice::daemon {

/// What a gateway is made of; all outlive it.
struct parts {
  std::vector<runtime::core*> cores;
  state::state_store& state;
  const store::registry& stores;
  const port::registry& fabrics;
  runtime::let_run wait = {};  // empty: the loops have threads
  /// Called on any thread when a medium has another size: the control thread is to call follow_media() soon.
  store::changed medium_changed = {};
};

/// One gateway: stores, units, targets and ports as the configuration says, on given cores. Real hardware and the
/// simulator differ only in `parts`. Its calls block and come from one control thread at a time.
class gateway {
 public:
  /// Blocks while it reads the state store.
  static result<std::unique_ptr<gateway>> make(const parts& made_of);
  /// stop() has returned.
  ~gateway();

  /// Makes what runs equal to `wanted`. All or nothing: everything that can fail is tried before anything that
  /// initiators can see changes; a failure leaves the gateway as it was.
  result<void> apply(const config::model& wanted);
  /// Ends ports, nexuses, units and stores, in that order.
  void stop();
  /// Whether requests of units that were ended are still with a medium that does not answer: then the cores cannot be
  /// taken down, and the process should just end.
  bool is_stranded() const { return !stranded_.empty(); }

  const config::model& model() const { return model_; }
  const std::map<std::string, std::shared_ptr<store::store>>& stores() const { return stores_; }
  const std::map<std::string, running_unit>& units() const { return units_; }
  /// Every live nexus.
  std::vector<nexus::nexus_info> nexuses();
  /// Ends one nexus; false when there is none of that number.
  bool kick(std::uint64_t nexus_id);
  /// Where initiators find a port, with the numbers that the system chose; empty for a port that does not run.
  std::vector<std::string> addresses(const port::port_id& port) const;
  /// Grows or shrinks the store under a unit; initiators hear CAPACITY DATA HAS CHANGED. Lasts until the next apply.
  result<void> resize(const std::string& unit, std::uint64_t size_bytes);
  /// Gives every unit the size that its medium has by now; initiators hear CAPACITY DATA HAS CHANGED.
  /// Stores that were changing go on when that is through.
  void follow_media();
  /// Drops every registration and reservation of a unit.
  result<void> clear_reservations(const std::string& unit);
  const std::vector<runtime::core*>& cores() const { return parts_.cores; }

 private:
  gateway(const parts& made_of, relative_ports numbers, std::unique_ptr<state::authority> authority);

  struct running_port {
    config::port_config config;
    std::string target;
    std::uint16_t relative_id = 0;
    std::unique_ptr<port::target_port> port;
  };
  /// A port that stays, with other settings.
  struct changed_port {
    config::port_config config;
    std::unique_ptr<port::port_change> change;
  };
  /// What an apply has made and not yet put to use.
  struct draft {
    std::map<std::string, std::shared_ptr<store::store>> stores;
    std::map<std::string, running_unit> units;
    std::vector<std::string> frozen;  // units that run, and that these take the place of
    std::vector<running_port> ports;
    std::vector<changed_port> changed_ports;
    std::vector<store::prepared> settings;                       // of stores that stay
    std::vector<std::pair<std::string, std::uint64_t>> resized;  // store, size before
    std::vector<std::string> emptied;                            // of those, what must hold nothing back before
    std::vector<std::shared_ptr<store::store>> handing_over;     // they hold nothing back any more, but to go on
  };

  result<void> prepare(const config::model& wanted, draft& made);
  result<void> open_stores(const config::model& wanted, draft& made);
  result<void> open_store(const config::model& wanted, const config::store_config& config, draft& made);
  result<bool> keep_store(const config::store_config& config, draft& made);
  result<void> hand_over(draft& made);
  result<void> hand_over(const std::string& name, draft& made);
  void take_over();
  void empty_memory();
  /// While the loops go on; false when it is not so after `patience`.
  bool wait_until(const std::function<bool()>& so, std::chrono::seconds patience);
  result<void> check_marks(const config::model& wanted, const draft& made) const;
  result<void> forget_witnesses(const config::model& wanted, const draft& made) const;
  result<void> resize_stores(const config::model& wanted, draft& made);
  result<void> start_units(const config::model& wanted, draft& made);
  result<void> start_ports(const config::model& wanted, draft& made);
  result<void> start_port(const config::model& wanted, const config::target_config& target,
                          const config::port_config& config, draft& made);
  result<port::running_fabric*> fabric_named(const std::string& name, const config::gateway_config& bounds);
  running_port* find_port(const config::port_config& identity);
  result<access::directory> picture_of(const config::model& wanted, const draft& made) const;
  void publish(access::directory picture);
  void discard(draft& made);
  void commit(const config::model& wanted, draft& made, access::directory picture);
  void stop_port(running_port& port);
  /// Tells the units that stay, and those that are new, what changed around them.
  void follow(const config::model& wanted);
  void warn(running_unit& unit, const store::properties& medium);
  std::vector<scsi::target_port_group> groups_of(const config::model& wanted, const std::string& unit) const;

  parts parts_;
  std::unique_ptr<state::authority> authority_;
  config::model model_;
  std::map<std::string, std::shared_ptr<store::store>> stores_;
  std::map<std::string, running_unit> units_;
  std::vector<running_unit> stranded_;  // ended, but for requests that the medium does not answer
  std::map<std::string, std::unique_ptr<port::running_fabric>> fabrics_;  // those that have had a port
  std::vector<running_port> ports_;
  runtime::pinned_ref<nexus::registry_actor> registry_;
  std::vector<runtime::pinned_ref<nexus::core_actor>> core_actors_;
  std::vector<port::core_door> doors_;
  relative_ports numbers_;
  unsigned next_home_ = 0;
  bool stopping_ = false;
};

}  // namespace sluice::daemon
