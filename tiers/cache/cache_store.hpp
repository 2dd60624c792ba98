#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "tiers/cache/channel_roster.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// A store over a store that keeps hot blocks in RAM and, in write-back, what was written in a journal on flash.
/// Whoever writes to the store below must do it through this one.
class cache_store final : public store::store {
 public:
  /// errc::invalid_argument when there is no room for a block in each shard, or the store below has blocks larger than
  /// 4 KiB or is larger than 4 PiB. An error of the medium when it cannot be asked which flash may be believed.
  /// With flash, `control_loop` opens it; blocking.
  static result<std::shared_ptr<cache_store>> open(std::shared_ptr<store> below, const options& wanted,
                                                   reactor::loop* control_loop = nullptr);
  /// `journal` is `below`, or null; `witness` is that of the medium.
  cache_store(std::shared_ptr<store> below, std::shared_ptr<cache_core> core, reactor::loop* control_loop,
              std::shared_ptr<flash_witness> witness, std::shared_ptr<store> journal);

  const char* type() const noexcept override { return "cache"; }
  sluice::store::properties describe() const override { return below_->describe(); }
  std::string health() const override;
  std::vector<sluice::store::figure> figures() const override;
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& home) override;
  result<void> resize(std::uint64_t size_bytes) override;
  result<sluice::store::prepared> prepare_settings(const config::settings& wanted) override;
  /// The same for options. `anew`: also tiers that could stay begin with nothing.
  result<sluice::store::prepared> prepare(options wanted, bool anew = false);
  result<void> drop() override;
  result<sluice::store::recorded> record(sluice::store::recording how, std::uint64_t now_ns) override {
    return roster_->recorder.turn(how, now_ns);
  }
  std::uint64_t destage() override { return below_->destage(); }
  std::uint64_t undestaged_bytes(std::uint64_t mark) const override { return below_->undestaged_bytes(mark); }
  void take_over() override;
  void hand_over() override;
  void begin_hand_over() override {
    if (journal_) journal_->begin_hand_over();
  }
  bool handed_over() override { return !journal_ || journal_->handed_over(); }
  std::string holder() const override { return journal_ ? journal_->holder() : std::string(); }
  void on_change(sluice::store::changed callback) override { below_->on_change(std::move(callback)); }

 private:
  /// The journal stays as it is while it is open: whether `wanted` can be had so. Then its flash is that of `now`.
  result<void> fit_journal(options& wanted, const options& now) const;
  sluice::store::prepared follow(const mode& how) const;

  std::shared_ptr<store> below_;
  std::shared_ptr<channel_roster> roster_;
  reactor::loop* const control_loop_;  // null: there is no flash, and never will be
  const std::shared_ptr<flash_witness> witness_;
  std::shared_ptr<store> journal_;  // null: nothing is ever held back from the store below
  std::shared_ptr<std::atomic<bool>> journals_ = std::make_shared<std::atomic<bool>>();  // the mode, as last applied
};

}  // namespace sluice::cache
