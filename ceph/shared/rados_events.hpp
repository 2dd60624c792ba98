#pragma once
#include <memory>
#include <string>
#include <vector>

#include "ceph/shared/membership.hpp"
#include "gateway/state/cluster_events.hpp"

namespace sluice::shared {

/// The events of gateways, of each in an object CLUSTER.events.GATEWAY, which that gateway alone writes. Its table has
/// a line for each number, "TIME WHAT".
class rados_events final : public state::cluster_events {
 public:
  explicit rados_events(std::shared_ptr<membership> of) : membership_(std::move(of)) {}
  result<void> add(const std::vector<state::cluster_event>& events) override;
  result<std::vector<state::cluster_event>> from(const std::string& gateway, std::uint64_t number) override;

 private:
  result<shared_object> object(const std::string& gateway) const;
  result<void> find_next(const shared_object& in);

  const std::shared_ptr<membership> membership_;
  std::uint64_t first_ = 0, next_ = 0;  // numbers that are there, and the next; 0: not known yet
};

}  // namespace sluice::shared
