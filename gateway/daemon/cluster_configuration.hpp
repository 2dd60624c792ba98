#pragma once
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>

#include "config/toml/load.hpp"
#include "gateway/daemon/gateway.hpp"
#include "gateway/daemon/turns.hpp"
#include "gateway/state/shared_configuration.hpp"

namespace sluice::daemon {

/// A version of what the gateways of a cluster share, and its text.
struct shared_version {
  std::uint64_t number = 0;  // 0: there is none
  std::string text = {};
  /// As diagnostics call it.
  config::shared_text as_text() const {
    return {text, "version " + std::to_string(number) + " of the cluster's configuration"};
  }
};
/// The newest. Blocks.
result<shared_version> read_newest(state::shared_configuration& in);

/// This gateway's part in the configuration that its cluster shares. A thread of its own looks at the object: it takes
/// part in what others propose, and takes over a version that this gateway has missed.
class cluster_configuration {
 public:
  /// What is to run by the gateway's own file and such a text; a sentence when the two make no configuration.
  using loader = std::function<result<config::model>(const config::shared_text& shared)>;

  /// `in_force`: what the gateway was started with.
  cluster_configuration(gateway& served, turns& turns_of, std::shared_ptr<state::shared_configuration> in,
                        shared_version in_force, loader load);
  /// Stops.
  ~cluster_configuration();

  /// The newest version that this gateway has seen. Any thread, as all below.
  std::shared_ptr<const shared_version> newest() const;
  /// The own file was applied with that version.
  void is_in_force(std::uint64_t version);

  struct request {
    config::shared_text shared;
    std::string origin;                 // as a version's
    std::optional<std::uint64_t> base;  // the version that it was made from; another one is the newest: errc::busy
    bool only_plan = false;             // tells what would change
  };
  /// Has every gateway that lives prepare for it, makes it the next version when all are ready, and waits until it is
  /// in force on them: docs/control.md, "config.apply". One that refuses is no error: then "version" is not in the
  /// result. Blocks.
  result<nlohmann::json> change(const request& wanted);
  /// "config.history", "config.show" and what "status" says. The last does not block.
  result<nlohmann::json> history() const;
  result<nlohmann::json> show(std::optional<std::uint64_t> version) const;
  result<shared_version> read(std::optional<std::uint64_t> version) const;
  nlohmann::json status() const;
  /// All that ever told what they run.
  std::vector<std::string> known_gateways() const;

  /// Ends what waits for other gateways.
  void interrupt();
  /// Waits for the thread. Idempotent.
  void stop();

 private:
  using answers = std::map<std::string, state::configuration_answer>;

  void work();
  void look();
  void attend(const state::configuration_proposal& what);
  state::configuration_answer prepare_for(const state::configuration_proposal& what);
  result<void> await_outcome(const state::configuration_proposal& what);
  void catch_up(std::uint64_t newest);
  void tell_state();

  nlohmann::json plan_everywhere(const state::configuration_proposal& what,
                                 const std::shared_ptr<const config::model>& wanted);
  nlohmann::json apply_everywhere(const state::configuration_proposal& what, const request& wanted,
                                  const std::shared_ptr<const config::model>& model, turns::turn& turn);
  result<answers> gather(const state::configuration_proposal& what, bool all_of_them);
  result<void> commit(const state::configuration_proposal& what, const std::string& text);
  std::map<std::string, std::string> await_the_others(std::uint64_t version);

  std::vector<std::string> living_others() const;
  bool lives(const std::string& gateway) const;
  const std::string& own_name() const { return own_name_; }
  bool ends() const;
  /// Waits a moment; false when all ends.
  bool pause(std::chrono::milliseconds time) const;
  void take_over(shared_version now);
  void set_problem(std::string why);

  gateway& gateway_;
  turns& turns_;
  const std::shared_ptr<state::shared_configuration> in_;
  const loader load_;
  const std::string own_name_;

  mutable std::mutex guard_;  // of what follows
  mutable std::condition_variable wake_;
  bool ends_ = false;
  std::shared_ptr<const shared_version> newest_;
  std::uint64_t in_force_;
  std::string problem_;     // why the newest is not in force
  std::uint64_t mine_ = 0;  // the proposal that this gateway makes
  state::configuration_view seen_ = {};

  // The thread's own.
  std::uint64_t answered_ = 0;  // the newest proposal that was
  std::optional<state::configuration_state> told_ = {};
  std::chrono::steady_clock::time_point next_try_ = {};
  std::thread thread_;
};

}  // namespace sluice::daemon
