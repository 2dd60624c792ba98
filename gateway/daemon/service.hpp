#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "config/toml/load.hpp"
#include "gateway/daemon/cluster_configuration.hpp"
#include "gateway/daemon/event_keeper.hpp"
#include "gateway/daemon/gateway.hpp"
#include "gateway/daemon/looking.hpp"
#include "gateway/daemon/machine.hpp"
#include "gateway/daemon/turns.hpp"

namespace sluice::daemon {

/// What the control socket can ask of a running gateway. Any number of threads at a time: whoever looks waits for
/// nobody, whoever changes something does so alone.
class service {
 public:
  struct options {
    std::string file;                    // the gateway's own; empty: it has none
    std::optional<std::string> control;  // the socket of --control, which stays whatever a file says
    /// What the cluster shares, and the version with which the gateway was started; null: it is in no cluster.
    std::shared_ptr<state::shared_configuration> shared = {};
    shared_version in_force = {};
    std::shared_ptr<state::cluster_events> events = {};  // of the cluster; null likewise
  };
  service(gateway& served, const machine& hardware, config::known_types known, options how);
  /// stop() has returned.
  ~service();

  result<nlohmann::json> handle(const std::string& command, const nlohmann::json& arguments);

  /// Applies a file, what SIGHUP asks for, on a thread of its own, when nobody else is at it; then calls `done` there.
  /// Asked again before it has begun, it is done once.
  void apply_later(const std::string& file, std::function<void()> done);
  /// Media have changed their size by themselves; the units follow soon. Waits for nothing.
  void follow_media_later();
  /// An apply that is under way is undone; nothing changes the gateway any more.
  void interrupt();
  /// Waits for the thread behind the two above. After interrupt().
  void stop();

 private:
  result<config::model> load(const std::string& file, const config::shared_text* shared) const;
  result<config::model> load(const std::string& file, const std::shared_ptr<const shared_version>& shared) const;
  std::string own_file() const;
  result<nlohmann::json> configure_cluster(const std::string& command, const nlohmann::json& arguments);
  result<nlohmann::json> plan(const std::string& file);
  result<nlohmann::json> apply(const std::string& file, result<turns::turn> turn);
  result<nlohmann::json> change_cluster(const std::string& command, const std::string& gateway);
  result<nlohmann::json> resize(const nlohmann::json& arguments);
  result<nlohmann::json> kick_connections(const nlohmann::json& arguments);
  result<nlohmann::json> change(const std::string& command, const nlohmann::json& arguments);
  nlohmann::json events(std::uint64_t since) const;
  result<nlohmann::json> events_of_cluster(const nlohmann::json& arguments) const;
  void work();
  void look_after_units(std::unique_lock<std::mutex>& hold);
  void try_absent();
  void reload(const std::string& file);

  gateway& gateway_;
  const config::known_types known_;
  const std::optional<std::string> control_;
  onlooker onlooker_;
  turns turns_;
  std::optional<cluster_configuration> shared_;  // none: it is in no cluster
  std::optional<event_keeper> events_;           // likewise

  mutable std::mutex guard_;
  std::string own_file_;  // that was applied last
  std::condition_variable wake_;
  std::optional<std::string> reload_;
  std::function<void()> reloaded_;
  bool media_changed_ = false;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point next_try_;  // the thread's own: at units that the start left out
  std::thread worker_;                              // last: it uses all of the above
};

}  // namespace sluice::daemon
