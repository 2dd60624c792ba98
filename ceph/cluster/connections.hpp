#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "ceph/cluster/connection.hpp"
#include "ceph/cluster/pulse.hpp"

namespace sluice::cluster {

/// Every connection of the gateway, made when the first image needs it and dropped with the last.
class connections {
 public:
  connections() = default;
  /// Waits some seconds for what is being closed.
  ~connections();
  connections(const connections&) = delete;
  connections& operator=(const connections&) = delete;

  /// The connection to an address, a new one when there is none or the cluster has fenced it. Blocks, as
  /// connection::open(); what failed a moment ago fails again at once, so that a hundred images do not wait in line.
  result<std::shared_ptr<connection>> get(const address& to);

  /// What a trial asks OSDs over a connection; whether they answered. Blocks.
  using question = std::function<bool(const std::shared_ptr<connection>&)>;
  /// Whether `silent` was given up by librados, which asks for no more tickets once its key was refused, while the
  /// cluster would serve a new connection: OSDs answer to `asked` over one, and `still_silent` holds for some seconds
  /// after that. Then the cluster has fenced `silent`, and it is abandoned. Blocks, half a minute at most.
  static bool abandon_if_given_up(connection& silent, const question& asked, const std::function<bool()>& still_silent);

  /// Those of this process: what its stores use, and what is to be fenced when it is gone.
  static std::shared_ptr<connections> of_this_process();
  /// What must be done before anything is sent over a new connection; where it fails, get() does. Blocks.
  using notice = std::function<result<void>(const connection&)>;
  void before_use(notice what);
  std::vector<std::shared_ptr<connection>> open_ones();

  pulse& beats();
  /// Where connections are made anew while the gateway serves.
  helper& reopener();

 private:
  struct entry {
    std::weak_ptr<connection> open;
    std::optional<error> failed;
    std::chrono::steady_clock::time_point failed_at;
  };

  std::mutex guard_;
  std::map<address, entry> known_;
  notice before_use_;
  std::mutex threads_guard_;
  std::unique_ptr<helper> reopener_;  // these from their first use on: a gateway without Ceph has no threads for it
  std::unique_ptr<pulse> pulse_;
};

}  // namespace sluice::cluster
