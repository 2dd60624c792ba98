#include "gateway/daemon/cluster.hpp"

#include "ceph/shared/rados_authority.hpp"

namespace sluice::daemon {

result<std::shared_ptr<state::cluster_authority>> join_cluster(const config::model& model) {
  if (!model.cluster) return nullptr;
  const config::cluster_config& wanted = *model.cluster;
  shared::membership_options as;
  as.ceph = {wanted.conf, wanted.user, {}};
  as.pool = wanted.pool;
  as.name = wanted.name;
  as.gateway = model.gateway.name;
  if (wanted.listen) as.link = wanted.listen->to_string();
  as.draw_link_secret = [] { return relay::secret::draw().to_string(); };
  auto joined = shared::membership::join(cluster::connections::of_this_process(), std::move(as));
  if (!joined) return fail(joined.error().code, "cluster: " + joined.error().message);
  return std::make_shared<shared::rados_authority>(std::move(*joined));
}

result<bool> is_shared(const parts& made_of, const config::model& model, const config::unit_config& unit) {
  if (!made_of.cluster) return false;
  const config::store_config* at = config::find_named(model.stores, unit.store);
  std::vector<const config::store_config*> tiers;
  for (; at && !at->over.empty(); at = config::find_named(model.stores, at->over)) tiers.push_back(at);
  const store::factory* type = at ? made_of.stores.find(at->type) : nullptr;
  if (!type || !type->shared) return false;
  for (const config::store_config* tier : tiers) {
    const store::factory* of = made_of.stores.find(tier->type);
    const auto may = of && of->may_be_shared
                         ? of->may_be_shared(tier->settings)
                         : fail(errc::unsupported, "type: gateways cannot share what lies below it");
    if (!may) return fail(may.error().code, "store." + tier->name + ": " + may.error().message);
  }
  if (at->settings.text_or("conf", "") != model.cluster->conf)
    return fail(errc::unsupported, "conf of store." + at->name +
                                       " is not that of [cluster]: a gateway that is gone could not be fenced there");
  return true;
}

relay::secret cluster_neighbours::own_secret() const {
  for (const auto& each : of_->members())
    if (each.id == of_->id())
      if (const auto found = relay::secret::parse(each.link_secret)) return *found;
  return relay::secret::draw();  // it is no member now: nobody is let in
}

std::optional<relay::peer> cluster_neighbours::find(gateway_id gateway) const {
  for (const auto& each : of_->members()) {
    if (each.id != gateway || each.gone || each.link.empty()) continue;
    const auto at = reactor::endpoint::parse(each.link);
    const auto secret = relay::secret::parse(each.link_secret);
    if (at && secret) return relay::peer{*at, *secret};
  }
  return std::nullopt;
}

std::string name_of(const state::cluster_authority& in, gateway_id id) {
  for (const auto& each : in.members())
    if (each.id == id) return each.gateway;
  return std::to_string(id);
}

}  // namespace sluice::daemon
