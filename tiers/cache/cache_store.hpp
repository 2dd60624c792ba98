#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tiers/cache/cache_core.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// A store over a store that keeps hot blocks in RAM and, in write-back, what was written in a journal on flash.
/// Whoever writes to the store below must do it through this one.
class cache_store final : public store::store {
 public:
  /// errc::invalid_argument when there is no room for a block in each shard, or the store below has blocks larger than
  /// 4 KiB or is larger than 4 PiB.
  /// With flash, `control_loop` opens it; blocking.
  static result<std::shared_ptr<cache_store>> open(std::shared_ptr<store> below, const options& wanted,
                                                   reactor::loop* control_loop = nullptr);
  /// `journal`, in write-back, is `below`.
  cache_store(std::shared_ptr<store> below, std::shared_ptr<cache_core> core, std::shared_ptr<store> journal = nullptr);

  const char* type() const noexcept override { return "cache"; }
  sluice::store::properties describe() const override { return below_->describe(); }
  std::string health() const override;
  std::vector<sluice::store::figure> figures() const override;
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& home) override;
  result<void> resize(std::uint64_t size_bytes) override;
  void take_over() override;
  void hand_over() override { core_->set_keeps(false); }
  void begin_hand_over() override {
    if (journal_) journal_->begin_hand_over();
  }
  bool handed_over() override { return !journal_ || journal_->handed_over(); }
  std::string holder() const override { return journal_ ? journal_->holder() : std::string(); }
  void on_resize(sluice::store::resized callback) override { below_->on_resize(std::move(callback)); }

 private:
  std::shared_ptr<store> below_;
  std::shared_ptr<cache_core> core_;
  std::shared_ptr<store> journal_;  // null but in write-back
};

}  // namespace sluice::cache
