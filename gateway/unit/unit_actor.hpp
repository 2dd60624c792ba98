#pragma once
#include <caf/all.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "actors/runtime/pinned.hpp"
#include "gateway/access/unit_endpoint.hpp"
#include "gateway/unit/coordinator.hpp"
#include "gateway/unit/links.hpp"
#include "gateway/unit/shard.hpp"

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::unit::to_coordinator)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::unit::to_shard)

namespace sluice::unit {

/// Brings a shard its messages. Its endpoint (access::unit_endpoint) may be used on its core until the actor was told
/// to end; it ends when the shard is idle, which may be a moment later: a tier below may just have begun something for
/// itself.
class shard_actor final : public runtime::pinned<caf::event_based_actor>,
                          public access::unit_endpoint,
                          coordinator_link,
                          reactor::timer {
 public:
  shard_actor(caf::actor_config& config, shard_options options, caf::actor coordinator,
              std::shared_ptr<store::store> medium, snapshot_ptr first);
  const char* name() const override { return "unit-shard"; }
  caf::behavior make_behavior() override;
  void on_exit() override;

  // access::unit_endpoint; this core only
  void post(port::task& subject, port::task_event event) noexcept override;
  void post(port::task_management& request) noexcept override;
  void add_nexus(std::shared_ptr<const port::i_t_nexus> nexus, access::attention_listener* listener) override;
  void remove_nexus(std::uint64_t nexus_id, port::loss_reason reason, std::function<void()> removed) override;
  void raise(std::uint64_t nexus_id, scsi::additional_sense code, std::uint64_t directory_version) override;
  void withdraw(std::uint64_t nexus_id, scsi::additional_sense code) override;

  /// Looks at the shard, on its core.
  const shard& inside() const { return *shard_; }
  bool ended() const { return ended_; }

 private:
  void send(to_coordinator message) override;
  void on_message(void* subject, std::uint32_t kind) override;
  void on_timer() noexcept override;
  void leave_when_idle();
  /// Puts work in line behind the tasks that were posted before.
  void enqueue_call(std::function<void(shard&)> work);

  const shard_options options_;
  caf::actor coordinator_;
  std::shared_ptr<store::store> medium_;
  snapshot_ptr first_;
  std::optional<shard> shard_;
  bool ended_ = false;
};

/// How a coordinator reaches a shard that is spawned after it.
class late_link final : public shard_link {
 public:
  void connect(caf::event_based_actor& from, caf::actor to) {
    from_ = &from;
    to_ = std::move(to);
  }
  void disconnect() { to_ = nullptr; }
  void send(to_shard message) override { from_->send(to_, std::move(message)); }

 private:
  caf::event_based_actor* from_ = nullptr;
  caf::actor to_;
};
using late_links = std::vector<std::unique_ptr<late_link>>;

/// How a coordinator reaches another one.
class peer_link final : public coordinator_link {
 public:
  peer_link(caf::event_based_actor& from, caf::actor to) : from_(from), to_(std::move(to)) {}
  void send(to_coordinator message) override { from_.send(to_, std::move(message)); }

 private:
  caf::event_based_actor& from_;
  const caf::actor to_;
};

/// Brings the coordinator of a unit its messages.
class coordinator_actor final : public runtime::pinned<caf::event_based_actor> {
 public:
  /// `inside` was made with `links` as its shards.
  coordinator_actor(caf::actor_config& config, std::unique_ptr<unit::coordinator> inside, late_links links);
  const char* name() const override { return "unit-coordinator"; }
  caf::behavior make_behavior() override;
  void on_exit() override;

  /// Once, on this actor's core, before the first message of a shard.
  void connect(const std::vector<caf::actor>& shards);
  /// The coordinator itself, on its core.
  unit::coordinator& inside() { return *coordinator_; }
  bool ended() const { return !coordinator_; }
  /// As the coordinator's, on its core.
  void give_place_to(caf::actor successor) {
    coordinator_->give_place_to(successor_.emplace(*this, std::move(successor)));
  }
  void take_place_of(caf::actor predecessor) {
    coordinator_->take_place_of(predecessor_.emplace(*this, std::move(predecessor)));
  }

 private:
  late_links links_;
  std::optional<peer_link> predecessor_, successor_;
  std::unique_ptr<unit::coordinator> coordinator_;
};

}  // namespace sluice::unit
