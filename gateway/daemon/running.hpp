#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config/schema/model.hpp"
#include "config/schema/sections.hpp"
#include "fabrics/port/fabric.hpp"
#include "gateway/access/directory.hpp"
#include "gateway/daemon/relative_ports.hpp"
#include "gateway/daemon/running_unit.hpp"
#include "gateway/nexus/core_gateway.hpp"
#include "gateway/state/authority.hpp"
#include "gateway/state/cluster_authority.hpp"
#include "gateway/state/state_store.hpp"
#include "tiers/store/store.hpp"

namespace sluice::nexus {
class registry_actor;
class core_actor;
}  // namespace sluice::nexus

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
  /// What the gateways of a cluster agree by; null: this one is alone.
  std::shared_ptr<state::cluster_authority> cluster = {};
  relay::links* links = nullptr;  // to them; null: none
};

/// Immutable but for `port`, which the control thread uses: a port with other settings is another value.
struct running_port {
  config::port_config config;
  std::string target;
  std::uint16_t relative_id = 0;
  std::shared_ptr<port::target_port> port;
  std::vector<std::string> addresses;  // with the numbers that the system chose
};

/// A unit that was taken away and has not ended: its medium owes answers, or initiators have not let go.
struct ending_unit {
  std::string name;
  std::vector<config::store_config> media;  // its store, and those below: still in use
};

/// A unit that a start could not have: initiators do not find it until a later try has it.
struct absent_unit {
  std::string name, store, why;
  bool operator==(const absent_unit&) const = default;
};

/// What runs, as a value that never changes: any thread may look at it, and holds nobody up. The units' own parts and
/// the stores belong to the control thread, but for what they promise to any thread.
struct running_snapshot {
  bool runs = false;  // an apply was put in force
  std::shared_ptr<const config::model> model = std::make_shared<config::model>();
  std::map<std::string, std::shared_ptr<store::store>> stores;
  std::map<std::string, std::shared_ptr<running_unit>> units;
  std::vector<std::shared_ptr<const running_port>> ports;
  std::vector<ending_unit> ending;
  std::vector<absent_unit> absent;
  std::shared_ptr<const access::directory> directory = std::make_shared<access::directory>();  // as published
};

/// The state behind a gateway. Changed by the steps of one apply at a time (step.hpp).
struct running {
  running(const parts& made_of_, relative_ports numbers_, std::unique_ptr<state::authority> authority_)
      : made_of(made_of_), authority(std::move(authority_)), numbers(std::move(numbers_)) {}

  /// What runs now; any thread.
  std::shared_ptr<const running_snapshot> seen() const {
    const std::lock_guard hold(guard);
    return shown;
  }
  void show(running_snapshot next) {
    auto made = std::make_shared<const running_snapshot>(std::move(next));
    const std::lock_guard hold(guard);
    shown.swap(made);
  }

  /// The connections without a nexus of each fabric at work, by its name; any thread.
  std::map<std::string, std::shared_ptr<port::strangers>> all_strangers() const {
    const std::lock_guard hold(guard);
    return strangers;
  }
  void show_strangers(const std::string& fabric, std::shared_ptr<port::strangers> of) {
    const std::lock_guard hold(guard);
    if (of) strangers[fabric] = std::move(of);
  }
  void hide_strangers() {
    const std::lock_guard hold(guard);
    strangers.clear();
  }

  const parts made_of;
  const std::unique_ptr<state::authority> authority;
  config::known_types known;  // of the registries
  relative_ports numbers;
  runtime::pinned_ref<nexus::registry_actor> registry;
  std::vector<runtime::pinned_ref<nexus::core_actor>> core_actors;
  std::vector<port::core_endpoint> endpoints;
  std::map<std::string, std::unique_ptr<port::running_fabric>> fabrics;  // those that have had a port
  std::mutex calling_ports;                             // a plan may ask a port while an apply changes it
  std::mutex preparing_settings;                        // likewise of a store
  std::mutex changing;                                  // held by whoever changes stores, and what runs over them
  std::vector<std::shared_ptr<running_unit>> stranded;  // ended, but for requests that the medium does not answer
  unsigned next_coordinator = 0;
  bool stopping = false;
  std::map<std::string, std::shared_ptr<store::store>> last_stores;  // when all stops: to be emptied before they close
  bool lost_at_end = false;               // acknowledged data are, with the end of the process
  std::atomic<bool> interrupted = false;  // an apply is to give up

 private:
  mutable std::mutex guard;
  std::shared_ptr<const running_snapshot> shown = std::make_shared<running_snapshot>();
  std::map<std::string, std::shared_ptr<port::strangers>> strangers;
};

}  // namespace sluice::daemon
