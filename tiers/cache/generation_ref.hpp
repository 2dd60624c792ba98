#pragma once
#include <memory>

#include "tiers/cache/cache_core.hpp"
#include "tiers/cache/flash/flash_recovery.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// The tiers as one channel uses them, and what of it they have under way. When a cache gets other tiers, a channel
/// keeps the lease of the old ones until all is over that began with them.
class generation_ref {
 public:
  /// On `loop`. `to_below` is a channel of what the tiers lie over; tiers that lie over the same share it.
  generation_ref(std::shared_ptr<cache_core> of, std::shared_ptr<store::channel> to_below, reactor::loop& loop)
      : core(std::move(of)), flash(core->flash().get()), below(std::move(to_below)), loop_(loop), flush_(flash) {
    core->attach(loop_);
    if (flash) recover();
  }
  ~generation_ref() {
    recovery_.reset();
    core->detach(loop_);
  }
  generation_ref(const generation_ref&) = delete;
  generation_ref& operator=(const generation_ref&) = delete;

  const std::shared_ptr<cache_core> core;
  flash_tier* const flash;  // null: there is none
  std::shared_ptr<store::channel> below;
  unsigned jobs = 0;  // of the channel, under way

  /// Nothing but jobs.
  bool idle() {
    return !flush_.at_work && !(recovery_ && recovery_->at_work()) && core->idle(loop_) &&
           (below.use_count() > 1 || below->idle());
  }
  /// The first core that finds nobody at it finds out what is on flash.
  void recover() {
    if (flash->now() != flash_tier::state::unknown || !flash->claim_recovery()) return;
    recovery_ = std::make_unique<flash_recovery>(core->flash(), loop_, *below, core->whole_blocks());
    recovery_->start();
  }
  /// A flush of the cache's own, when no initiator asks for any and blocks wait for one.
  void flush_when_due() noexcept {
    if (flash && !flush_.at_work && flash->claim_flush(loop_.now_ns())) flush_.start(*below);
  }

 private:
  class own_flush final : public store::request {
   public:
    explicit own_flush(flash_tier* tier) : tier_(tier) { what = store::verb::flush; }
    void start(store::channel& medium) noexcept {
      at_work = true;
      begun_ = tier_->flush_begins();
      medium.submit(*this);
    }
    void done(store::status outcome) noexcept override {
      at_work = false;
      if (outcome == store::status::good) tier_->flush_ended(begun_);
    }
    bool at_work = false;

   private:
    flash_tier* tier_;
    std::uint64_t begun_ = 0;
  };

  reactor::loop& loop_;
  own_flush flush_;
  std::unique_ptr<flash_recovery> recovery_;
};

}  // namespace sluice::cache
