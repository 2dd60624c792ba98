#pragma once
#include <memory>
#include <string>

#include "ceph/shared/membership.hpp"
#include "gateway/state/cluster_authority.hpp"

namespace sluice::shared {

/// What all gateways of a cluster agree on: each record is an object in RADOS, changed by compare-and-set on its epoch.
/// The same change that makes a gateway a member of a record writes where it sits, so nobody is a member whom others do
/// not know of. A commit is told by notify; each gateway answers that when it obeys, and confirm() waits for the answer
/// of every seat whose gateway's life has not ended (membership).
class rados_authority final : public state::cluster_authority {
 public:
  explicit rados_authority(std::shared_ptr<membership> of) : membership_(std::move(of)) {}

  result<std::unique_ptr<state::seat>> open(const std::string& name, reactor::loop& on) override;
  gateway_id id() const override { return membership_->id(); }
  const state::lease& term() const override { return membership_->term(); }
  std::vector<member> members() const override;
  result<void> drain(const std::string& gateway, bool drained) override { return membership_->drain(gateway, drained); }
  result<void> forget(const std::string& gateway) override { return membership_->forget(gateway); }
  result<std::shared_ptr<state::shared_configuration>> configuration() override;
  std::shared_ptr<state::cluster_events> events() override;

 private:
  const std::shared_ptr<membership> membership_;
};

}  // namespace sluice::shared
