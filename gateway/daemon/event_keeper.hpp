#pragma once
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "actors/base/result.hpp"
#include "gateway/state/cluster_authority.hpp"
#include "gateway/state/cluster_events.hpp"

namespace sluice::daemon {

/// Brings this gateway's events to where all gateways of the cluster see them, on a thread of its own; what cannot be
/// brought now is brought later, as far as the gateway still has it.
class event_keeper {
 public:
  event_keeper(std::shared_ptr<const state::cluster_authority> of, std::shared_ptr<state::cluster_events> to);
  /// Stops.
  ~event_keeper();

  /// "cluster.events": of these gateways, from a number of each on, in the order of their times. Any thread.
  result<nlohmann::json> look(const std::vector<std::string>& gateways,
                              const std::map<std::string, std::uint64_t>& since) const;
  /// Brings what there is, and ends. Idempotent.
  void stop();

 private:
  void work();
  void bring();

  const std::shared_ptr<const state::cluster_authority> of_;
  const std::shared_ptr<state::cluster_events> to_;
  std::uint64_t next_ = 1;  // of the lines of this life; the thread's own
  std::mutex guard_;
  std::condition_variable wake_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace sluice::daemon
