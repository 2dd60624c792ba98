#pragma once
#include <chrono>
#include <future>
#include <map>
#include <string>
#include <vector>

#include "actors/base/result.hpp"
#include "gateway/daemon/load_watch.hpp"
#include "gateway/state/cluster_authority.hpp"

namespace sluice::daemon {

struct running;

/// Which gateway of the cluster owns which unit, as far as that is this gateway's doing. Calls block; control thread.
class owners {
 public:
  explicit owners(running& now) : now_(now) {}

  /// Has another gateway own a unit; returns when it does. errc::unsupported: this one is in no cluster.
  result<void> move(const std::string& unit, const std::string& to);
  /// Drains a gateway, or lets it own units again. Does not wait until it has given them up.
  result<void> drain(const std::string& gateway, bool drained);
  /// Takes one that is gone out of the list.
  result<void> forget(const std::string& gateway);
  /// Whether tend() would do anything. The thread of tend().
  bool are_to_be_tended() const;
  /// Now and then: gives up what this gateway owns when it is drained, claims what nobody owns when another one is, and
  /// gives units to where their commands come.
  void tend();

 private:
  using member = state::cluster_authority::member;

  result<std::vector<member>> members() const;
  result<member> find(const std::string& gateway) const;
  bool gives_up(const std::vector<member>& all) const;
  void hand_over(const std::vector<member>& heirs);
  void balance(const std::vector<member>& heirs);
  void await_moves();

  running& now_;
  std::vector<member> seen_;                                     // by the last tend()
  std::map<std::string, std::future<result<void>>> moves_ = {};  // of units that are being given up
  std::map<std::string, load_watch> loads_ = {};                 // of units that it owns
  std::chrono::steady_clock::time_point next_look_ = {};         // at the loads
};

}  // namespace sluice::daemon
