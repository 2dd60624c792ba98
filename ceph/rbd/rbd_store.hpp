#pragma once
#include <memory>
#include <utility>

#include "ceph/rbd/medium.hpp"

namespace sluice::rbd {

/// A store over one image of a Ceph cluster.
class rbd_store final : public store::store {
 public:
  /// Blocks, in the worst case until connection::patience and medium::open_limit have passed; control thread.
  static result<std::shared_ptr<rbd_store>> open(std::shared_ptr<cluster::connections> all, const options& wanted);
  ~rbd_store() override { medium_->close(); }

  const char* type() const noexcept override { return "rbd"; }
  sluice::store::properties describe() const override { return medium_->describe(); }
  std::string health() const override { return medium_->health(); }
  std::vector<sluice::store::figure> figures() const override { return medium_->figures(); }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override;
  result<void> resize(std::uint64_t size_bytes) override { return medium_->resize(size_bytes); }
  void on_change(sluice::store::changed callback) override { medium_->on_change(std::move(callback)); }
  result<sluice::store::ownership> read_ownership() override { return medium_->read_ownership(); }
  result<void> write_ownership(const sluice::store::ownership& wanted) override {
    return medium_->write_ownership(wanted);
  }

 protected:
  result<std::uint64_t> read_own_binding() override { return medium_->read_binding(); }
  result<void> write_own_binding(std::uint64_t flash) override { return medium_->write_binding(flash); }

 private:
  rbd_store(std::shared_ptr<cluster::connections> all, std::shared_ptr<medium> opened)
      : connections_(std::move(all)), medium_(std::move(opened)) {}

  std::shared_ptr<cluster::connections> connections_;
  std::shared_ptr<medium> medium_;
};

}  // namespace sluice::rbd
