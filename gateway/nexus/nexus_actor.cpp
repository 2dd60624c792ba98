#include "gateway/nexus/nexus_actor.hpp"

namespace sluice::nexus {

registry_actor::registry_actor(caf::actor_config& config, gateway_id gateway)
    : pinned(config), registry_(*this, gateway) {}

caf::behavior registry_actor::make_behavior() {
  return {
      [this](const admission& wish) { registry_.admit(wish); },
      [this](const closed_notice& notice) { registry_.closed(notice.nexus_id, notice.core); },
      [this](const kick_order& order) { order.done(registry_.kick(order.nexus_id, order.reason)); },
  };
}

void registry_actor::evict(unsigned core, std::uint64_t nexus_id, port::loss_reason reason) {
  send(cores_.at(core), evict_order{nexus_id, reason});
}

void registry_actor::grant(unsigned core, std::uint64_t question_id, std::uint64_t nexus_id) {
  send(cores_.at(core), grant_notice{question_id, nexus_id});
}

void registry_actor::refuse(unsigned core, std::uint64_t question_id, errc why) {
  send(cores_.at(core), refusal_notice{question_id, why});
}

core_actor::core_actor(caf::actor_config& config, reactor::loop& loop, caf::actor registry)
    : pinned(config), index_(loop.index()), registry_(std::move(registry)), gateway_(loop, *this, *this) {}

caf::behavior core_actor::make_behavior() {
  return {
      [this](const grant_notice& notice) { gateway_.granted(notice.question_id, notice.nexus_id); },
      [this](const refusal_notice& notice) { gateway_.refused(notice.question_id, notice.why); },
      [this](const evict_order& order) { gateway_.evict(order.nexus_id, order.reason); },
      [this](const publish_order& order) {
        gateway_.publish(order.directory);
        order.done();
      },
      [this](const peer_request& request) { gateway_.asked(request); },
      [this](const peer_answer& answer) { gateway_.answered(answer); },
  };
}

void core_actor::on_exit() {
  registry_ = nullptr;
  cores_.clear();
}

void core_actor::ask(unsigned core, const peer_request& request) {
  send(cores_.at(core), request);
}
void core_actor::answer(unsigned core, const peer_answer& answer) {
  send(cores_.at(core), answer);
}

void core_actor::admit(const admission& wish) {
  send(registry_, wish);
}
void core_actor::closed(std::uint64_t nexus_id) {
  send(registry_, closed_notice{nexus_id, index_});
}

}  // namespace sluice::nexus
