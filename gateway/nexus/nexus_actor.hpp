#pragma once
#include <caf/all.hpp>
#include <memory>
#include <vector>

#include "actors/runtime/pinned.hpp"
#include "gateway/nexus/core_gateway.hpp"
#include "gateway/nexus/registry.hpp"

namespace sluice::nexus {

/// core -> registry: the channel there has ended, or a grant was not used.
struct closed_notice {
  std::uint64_t nexus_id;
  unsigned core;
};
/// control -> registry: end a nexus; `done` runs on the registry's core, with false when there is none of that number.
struct kick_order {
  std::uint64_t nexus_id;
  port::loss_reason reason;
  std::function<void(bool)> done;
};
/// registry -> core: a wish was granted.
struct grant_notice {
  std::uint64_t question_id, nexus_id;
};
/// registry -> core: a wish for a channel was not.
struct refusal_notice {
  std::uint64_t question_id;
  errc why;
};
/// registry -> core: drop this nexus.
struct evict_order {
  std::uint64_t nexus_id;
  port::loss_reason reason;
};
/// control -> core: a new directory; `done` runs on that core when its nexuses follow the snapshot.
struct publish_order {
  std::shared_ptr<const access::directory> directory;
  std::function<void()> done;
};

class core_actor;

/// Runs the registry, on the first core.
class registry_actor final : public runtime::pinned<caf::event_based_actor>, registry_link {
 public:
  explicit registry_actor(caf::actor_config& config, gateway_id gateway = 0);
  const char* name() const override { return "nexus-registry"; }
  caf::behavior make_behavior() override;
  /// Before the first message: the cores' actors, by core index.
  void connect(std::vector<caf::actor> cores) { cores_ = std::move(cores); }
  void on_exit() override { cores_.clear(); }

 private:
  void evict(unsigned core, std::uint64_t nexus_id, port::loss_reason reason) override;
  void grant(unsigned core, std::uint64_t question_id, std::uint64_t nexus_id) override;
  void refuse(unsigned core, std::uint64_t question_id, errc why) override;

  registry registry_;
  std::vector<caf::actor> cores_;
};

/// Brings one core's gateway its messages.
class core_actor final : public runtime::pinned<caf::event_based_actor>, registry_endpoint, peer_link {
 public:
  core_actor(caf::actor_config& config, reactor::loop& loop, caf::actor registry);
  const char* name() const override { return "core-gateway"; }
  caf::behavior make_behavior() override;
  /// The endpoint for this core's fabrics; theirs while the actor lives, on its core.
  core_gateway& gateway() { return gateway_; }
  /// Before the first message: all cores' actors, by core index.
  void connect(std::vector<caf::actor> cores) { cores_ = std::move(cores); }
  void on_exit() override;

 private:
  void admit(const admission& wish) override;
  void closed(std::uint64_t nexus_id) override;
  unsigned cores() const override { return static_cast<unsigned>(cores_.size()); }
  void ask(unsigned core, const peer_request& request) override;
  void answer(unsigned core, const peer_answer& answer) override;

  const unsigned index_;
  caf::actor registry_;
  std::vector<caf::actor> cores_;
  core_gateway gateway_;
};

}  // namespace sluice::nexus

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::admission)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::closed_notice)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::kick_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::grant_notice)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::refusal_notice)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::evict_order)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::peer_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::peer_answer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::nexus::publish_order)
