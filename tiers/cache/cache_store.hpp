#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tiers/cache/channel_roster.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// A store over a store that keeps hot blocks in RAM. Whoever writes to the store below must do it through this one.
class cache_store final : public store::store {
 public:
  /// errc::invalid_argument when there is no room for a block in each shard, or the store below has blocks larger than
  /// 4 KiB or is larger than 4 PiB.
  /// With flash, `control_loop` opens it; blocking.
  static result<std::shared_ptr<cache_store>> open(std::shared_ptr<store> below, const options& wanted,
                                                   reactor::loop* control_loop = nullptr);
  cache_store(std::shared_ptr<store> below, std::shared_ptr<cache_core> core, reactor::loop* control_loop);

  const char* type() const noexcept override { return "cache"; }
  sluice::store::properties describe() const override { return below_->describe(); }
  std::string health() const override;
  std::vector<sluice::store::figure> figures() const override;
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& home) override;
  result<void> resize(std::uint64_t size_bytes) override;
  result<sluice::store::prepared> prepare_settings(const config::settings& wanted) override;
  /// The same for options. `anew`: also tiers that could stay begin with nothing.
  result<sluice::store::prepared> prepare(const options& wanted, bool anew = false);
  result<void> drop() override;
  result<sluice::store::recorded> record(sluice::store::recording how, std::uint64_t now_ns) override {
    return roster_->recorder.turn(how, now_ns);
  }
  std::uint64_t destage() override { return below_->destage(); }
  std::uint64_t undestaged_bytes(std::uint64_t mark) const override { return below_->undestaged_bytes(mark); }
  void take_over() override { roster_->take_over(); }
  void hand_over() override;
  void on_resize(sluice::store::resized callback) override { below_->on_resize(std::move(callback)); }

 private:
  std::shared_ptr<store> below_;
  std::shared_ptr<channel_roster> roster_;
  reactor::loop* const control_loop_;  // null: there is no flash, and never will be
};

}  // namespace sluice::cache
