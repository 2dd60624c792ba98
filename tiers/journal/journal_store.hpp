#pragma once
#include <memory>
#include <string>
#include <vector>

#include "tiers/journal/journal_core.hpp"
#include "tiers/journal/journal_owner.hpp"
#include "tiers/journal/ownership_keeper.hpp"
#include "tiers/store/store.hpp"

namespace sluice::journal {

/// A store over a store: what is written is durable in a log on flash when it is acknowledged, and is brought below
/// later, in order. From take_over() on; before that, what the log holds is brought below and writes pass it by.
///
/// The store below has a mark while there may be data for it here: nobody else may use it then.
class journal_store final : public store::store {
 public:
  /// Finds out what the journal holds, and formats flash that never held one; blocking. errc::busy when what it holds
  /// belongs to another medium, or the medium's mark names another journal; errc::corrupt when acknowledged data are
  /// missing: the sentence names the command that decides about them. errc::invalid_argument when it is too small.
  static result<std::shared_ptr<journal_store>> open(std::shared_ptr<store> below, options wanted,
                                                     journal_medium flash);
  /// An empty one over a store that is in use, in place of whatever lies in `flash`, which is not written to before
  /// take_over(); until then it passes on what it is asked. What can go wrong makes the flash fail, with all that
  /// follows from that. `wanted` has a layout, as is_layout() says. Blocking.
  static std::shared_ptr<journal_store> begin_anew(std::shared_ptr<store> below, options wanted, journal_medium flash);
  journal_store(std::shared_ptr<store> below, std::shared_ptr<journal_core> core, bool is_formatted = true);
  ~journal_store() override;

  const char* type() const noexcept override { return "journal"; }
  sluice::store::properties describe() const override;
  std::string health() const override;
  std::vector<sluice::store::figure> figures() const override;
  std::unique_ptr<sluice::store::channel> attach(reactor::loop& loop) override;
  /// errc::unsupported to shrink.
  result<void> resize(std::uint64_t size_bytes) override;
  void on_change(sluice::store::changed callback) override {
    core_->listeners.add(callback);
    below_->on_change(std::move(callback));
  }
  /// Not while anybody else writes to the store below, nor to the flash.
  void take_over() override;
  /// Others wrote to the store below, and may have left it to a flush to make that durable.
  void hand_over() override;
  void begin_hand_over() override { owner_->want_passing(true); }
  /// errc::io: blocks are lost.
  result<void> handed_over() override;
  result<std::uint64_t> give_up_lost() override;
  std::uint64_t destage() override { return owner_->want_destaged(); }
  std::uint64_t undestaged_bytes(std::uint64_t ownership) const override;
  std::string holder() const override;

  const journal_core& core() const { return *core_; }
  /// Who hears of what the journal itself finds out; as on_change(), without the store below.
  void on_own_change(sluice::store::changed callback) { core_->listeners.add(std::move(callback)); }
  /// The flash is not what lies under its name any more: what it holds is brought below. Any thread.
  void leave_flash(const std::string& why) noexcept {
    core_->fail_flash(why);
    owner_->look_soon();
  }
  void set_destage_delay(std::uint64_t ns) { owner_->want_destage_delay(ns); }

 private:
  bool clear_ownership();
  bool sign_flash();
  void format();

  std::shared_ptr<store> below_;
  std::shared_ptr<journal_core> core_;
  ownership_keeper marks_;
  std::shared_ptr<journal_owner> owner_;
  bool is_formatted_;  // the flash has the superblock
};

/// Whether flash may be used that begins with a journal of `journal_bytes`, 0: with none. errc::busy when it holds data
/// that are nowhere else and would come to harm; the sentence names the command that decides about them. Blocking.
result<void> check_use(reactor::loop& control_loop, reactor::handle opened, const std::string& path,
                       std::uint64_t journal_bytes);

/// Whether a file or device may be used as a medium of its own: errc::busy when it begins with a journal of this host
/// that holds data. (A journal of another host may be a guest's, whose disk this is.) Blocking.
result<void> check_no_data(reactor::loop& control_loop, reactor::handle opened, const std::string& path);

/// How a journal calls itself in the mark of its medium: by its id, then in words.
std::string holder_name(const superblock& super);
/// Whether two such names are of one journal.
bool same_holder(const std::string& one, const std::string& other);

}  // namespace sluice::journal
