#pragma once
#include <memory>
#include <string>

#include "config/schema/model.hpp"
#include "gateway/daemon/running.hpp"
#include "gateway/relay/peer.hpp"
#include "gateway/state/cluster_authority.hpp"

namespace sluice::daemon {

/// Joins the cluster of the configuration; null when it has none. Blocks: some seconds when this gateway was killed a
/// moment ago.
result<std::shared_ptr<state::cluster_authority>> join_cluster(const config::model& model);

/// Whether all gateways of the cluster reach the medium of a unit: then they share the unit. A sentence when they would
/// and must not.
result<bool> is_shared(const parts& made_of, const config::model& model, const config::unit_config& unit);

/// What its links know of the other gateways.
class cluster_neighbours final : public relay::neighbours {
 public:
  explicit cluster_neighbours(std::shared_ptr<const state::cluster_authority> of) : of_(std::move(of)) {}
  gateway_id own() const override { return of_->id(); }
  relay::secret own_secret() const override;
  std::optional<relay::peer> find(gateway_id gateway) const override;

 private:
  const std::shared_ptr<const state::cluster_authority> of_;
};

/// The name of a gateway; its number where that is not known.
std::string name_of(const state::cluster_authority& in, gateway_id id);

}  // namespace sluice::daemon
