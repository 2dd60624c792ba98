#include "gateway/nexus/nexus_actor.hpp"

namespace sluice::nexus {

registry_actor::registry_actor(caf::actor_config& config) : pinned(config), registry_(*this) {}

caf::behavior registry_actor::make_behavior() {
  return {
      [this](const admission& wish) { registry_.admit(wish); },
      [this](const closed_notice& notice) { registry_.closed(notice.nexus_id); },
      [this](const kick_order& order) { order.done(registry_.kick(order.nexus_id, order.reason)); },
  };
}

void registry_actor::evict(unsigned core, std::uint64_t nexus_id, port::loss_reason reason) {
  send(cores_.at(core), evict_order{nexus_id, reason});
}

void registry_actor::grant(unsigned core, std::uint64_t ticket, std::uint64_t nexus_id) {
  send(cores_.at(core), grant_notice{ticket, nexus_id});
}

core_actor::core_actor(caf::actor_config& config, reactor::loop& loop, caf::actor registry)
    : pinned(config), registry_(std::move(registry)), gateway_(loop, *this) {}

caf::behavior core_actor::make_behavior() {
  return {
      [this](const grant_notice& notice) { gateway_.granted(notice.ticket, notice.nexus_id); },
      [this](const evict_order& order) { gateway_.evict(order.nexus_id, order.reason); },
      [this](const publish_order& order) {
        gateway_.publish(order.picture);
        order.done();
      },
  };
}

void core_actor::admit(const admission& wish) {
  send(registry_, wish);
}
void core_actor::closed(std::uint64_t nexus_id) {
  send(registry_, closed_notice{nexus_id});
}

}  // namespace sluice::nexus
