#pragma once
#include <memory>
#include <utility>

#include "tiers/fault/fault_control.hpp"
#include "tiers/store/store.hpp"

namespace sluice::fault {

/// A store over a store that goes wrong: by chance for an operator's drill, on command for a test.
class fault_store final : public store::store {
 public:
  fault_store(std::shared_ptr<store> below, const chances& odds) : below_(std::move(below)), odds_(odds) {}

  /// Any thread; keeps valid when the store is gone.
  std::shared_ptr<fault_control> control() const { return control_; }

  const char* type() const noexcept override { return "fault"; }
  sluice::store::properties describe() const override {
    sluice::store::properties p = below_->describe();
    if (odds_.deadline_ns != 0) p.deadline_ns = odds_.deadline_ns;
    return p;
  }
  std::string health() const override { return below_->health(); }
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override;
  result<sluice::store::ownership> read_ownership() override { return below_->read_ownership(); }
  result<void> write_ownership(const sluice::store::ownership& wanted) override {
    return below_->write_ownership(wanted);
  }
  result<void> resize(std::uint64_t size_bytes) override { return below_->resize(size_bytes); }
  void on_change(sluice::store::changed callback) override { below_->on_change(std::move(callback)); }

 protected:
  result<std::uint64_t> read_own_binding() override { return below_->read_binding(); }
  result<void> write_own_binding(std::uint64_t flash) override { return below_->write_binding(flash); }

 private:
  std::shared_ptr<store> below_;
  chances odds_;
  std::shared_ptr<fault_control> control_ = std::make_shared<fault_control>();
};

}  // namespace sluice::fault
