#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "tiers/cache/generation_switch.hpp"
#include "tiers/journal/journal_core.hpp"
#include "tiers/store/change_listeners.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// A store over a store that keeps hot blocks in RAM and, in write-back, what was written in a journal on flash.
/// Whoever writes to the store below must do it through this one.
class cache_store final : public store::store {
 public:
  /// errc::invalid_argument when there is no room for a block in each shard, or the store below has blocks larger than
  /// 4 KiB or is larger than 4 PiB. An error of the medium when it cannot be asked which flash may be believed.
  /// With flash, `control_loop` opens it; blocking. Flash that is dead and holds nothing of the medium's is done
  /// without.
  static result<std::shared_ptr<cache_store>> open(std::shared_ptr<store> below, options wanted,
                                                   reactor::loop* control_loop = nullptr);
  /// `medium` is what the cache lies over, with or without a journal between the two; `binding` is its.
  cache_store(std::shared_ptr<store> medium, std::shared_ptr<cache_core> core, reactor::loop* control_loop,
              std::shared_ptr<flash_binding> binding, std::string flash_trouble = {});

  const char* type() const noexcept override { return "cache"; }
  sluice::store::properties describe() const override;
  std::string health() const override;
  std::vector<sluice::store::figure> figures() const override;
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override;
  result<void> resize(std::uint64_t size_bytes) override;
  result<sluice::store::prepared> prepare_settings(const config::settings& wanted) override;
  /// The same for options. `anew`: also tiers that could stay begin with nothing.
  result<sluice::store::prepared> prepare(options wanted, bool anew = false);
  result<void> drop() override;
  result<sluice::store::recorded> record(sluice::store::recording how, std::uint64_t now_ns) override {
    return generations_->recorder.turn(how, now_ns);
  }
  std::uint64_t destage() override { return over().below->destage(); }
  std::uint64_t undestaged_bytes(std::uint64_t ownership) const override {
    return over().below->undestaged_bytes(ownership);
  }
  void take_over() override;
  void hand_over() override;
  void begin_hand_over() override;
  result<void> handed_over() override;
  result<void> begin_tenure() override;
  void end_tenure() override;
  result<std::uint64_t> give_up_lost() override;
  std::string holder() const override;
  void on_change(sluice::store::changed callback) override { listeners_->add(std::move(callback)); }

 private:
  /// Another journal, in place of the one that there is, or of none. The store has handed over before it is put in
  /// force, and goes over to it in take_over(): until then it says already what less it will promise.
  struct journal_change {
    options wanted;
    std::shared_ptr<flash_tier> flash;              // null: none
    std::optional<journal::journal_medium> medium;  // of the journal; none: there will be no journal
    bool is_volatile;                               // what lies below the tiers then
  };
  result<sluice::store::prepared> prepare_journal(const options& wanted, const cache_core& core);
  void go_over(const journal_change& to);
  void follow(const mode& how);
  void take_over_journal();
  void forget();
  void watch_flash();
  foundation over() const { return generations_->newest()->over(); }

  const std::shared_ptr<store> medium_;
  const std::shared_ptr<sluice::store::change_listeners> listeners_ =
      std::make_shared<sluice::store::change_listeners>();
  const std::shared_ptr<generation_switch> generations_;
  reactor::loop* const control_loop_;  // null: there is no flash, and never will be
  const std::shared_ptr<flash_binding> binding_;
  bool journals_;             // the mode, as last applied
  bool is_as_opened_ = true;  // nothing was kept since
  std::shared_ptr<const void> flash_watch_;
  mutable std::mutex guard_;   // of what follows
  std::string flash_trouble_;  // why the cache began without the flash that it should have; empty: it did not
  std::shared_ptr<const journal_change> change_;
  std::uint32_t failures_before_ = 0, losses_before_ = 0;  // of journals that are gone
};

}  // namespace sluice::cache
