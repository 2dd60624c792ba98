#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "actors/base/inbox.hpp"
#include "actors/reactor/wanderer.hpp"
#include "tiers/journal/appender.hpp"
#include "tiers/journal/destager.hpp"
#include "tiers/journal/overlay_reader.hpp"

namespace sluice::journal {

/// The one that changes a journal, on one of the loops with channels at a time. All that changes the store comes here,
/// is put in order where it overlaps, and is written to the log, or passes to the store below.
class journal_owner final : public reactor::wanderer {
 public:
  /// `marks` lives as long as there are channels.
  journal_owner(std::shared_ptr<journal_core> core, std::shared_ptr<store::store> below, ownership_keeper& marks);

  // -- channels ------------------------------------------------------------------------------------------------------
  /// Any thread with a channel.
  void send(journal_job& job, const reactor::loop& from) noexcept;
  /// Whether the channel may go as far as the owner is concerned, which then rests for a moment. On the channel's loop.
  bool may_leave(const reactor::loop& on) noexcept;

  // -- the control thread --------------------------------------------------------------------------------------------
  /// To pass on what is written, after what the log holds is below; or to journal.
  void want_passing(bool wanted) noexcept;
  /// Whether it has heard what is wanted, and holds nothing back.
  bool is_passing() noexcept;
  void want_destage_delay(std::uint64_t ns) noexcept;
  /// Something that its turns look at has changed. Any thread.
  void look_soon() noexcept { poke(); }
  /// To bring below soon what was acknowledged until now: the number of its last record. Any thread.
  std::uint64_t want_destaged() noexcept;
  bool is_destaged(std::uint64_t sequence) const noexcept { return destaged_.load() >= sequence; }

  // -- its parts, on the owner's loop ---------------------------------------------------------------------------------
  journal_core& core() noexcept { return core_; }
  reactor::loop& loop() noexcept { return seat_->loop; }
  store::channel& below() noexcept { return *seat_->below; }
  /// Something is under way that must end before the owner can move; it ended.
  void begins() noexcept { ++under_way_; }
  void ended() noexcept;
  /// A turn comes soon.
  void wake() noexcept override;
  void read(journal_job& job) noexcept;
  void granted(journal_job& job) noexcept;
  void ready(journal_job& job) noexcept { appender_.add(job); }
  void refused(journal_job& job) noexcept { finish(job); }
  void written(journal_job& job) noexcept;
  void passed(journal_job& job) noexcept;
  void destaged(std::uint64_t sequence) noexcept { destaged_ = sequence; }
  /// A flush below is over that began while all writes came here.
  void below_flushed() noexcept;
  void superblock_written(bool good) noexcept;

 private:
  /// What the owner has on its loop.
  class seat final : public reactor::runnable, public reactor::timer {
   public:
    seat(journal_owner& at, reactor::loop& on, std::unique_ptr<store::channel> channel)
        : owner(&at),
          loop(on),
          below(std::move(channel)),
          reader(std::make_unique<overlay_reader>(at.core_, *below, on)) {}
    void run() noexcept override;
    void on_timer() noexcept override { loop.defer(*this); }
    journal_owner* owner;
    reactor::loop& loop;
    std::unique_ptr<store::channel> below;
    std::unique_ptr<overlay_reader> reader;
  };

  void sit_down(reactor::loop& on) override;
  void get_up(reactor::loop& on) override;
  void turn() noexcept;
  void take_inbox() noexcept;
  void enter(journal_job& job) noexcept;
  void route(journal_job& job) noexcept;
  void wait_for_all_before(journal_job& job) noexcept;
  void refuse_barriers() noexcept;
  void pass(journal_job& job) noexcept;
  void pass_what_may() noexcept;
  void change_state() noexcept;
  void drained() noexcept;
  void close_epochs(std::uint64_t now_ns) noexcept;
  void arm_timer(std::uint64_t now_ns) noexcept;
  void finish(journal_job& job) noexcept;

  const std::shared_ptr<journal_core> core_held_;
  journal_core& core_;
  const std::shared_ptr<store::store> below_store_;
  ownership_keeper& marks_;
  range_locks locks_;
  appender appender_;
  destager destager_;
  std::unique_ptr<seat> seat_;
  inbox<journal_job> inbox_;
  std::atomic<bool> wants_passing_ = true;
  std::atomic<std::uint64_t> wishes_ = 0;  // how often something else was wanted; of them, those it has looked at
  std::atomic<std::uint64_t> wishes_heard_ = 0;
  job_queue granted_;
  std::deque<journal_job*> held_;            // until all that the log holds is below
  std::deque<journal_job*> barriers_;        // until what was written before them is below
  std::atomic<std::uint64_t> destaged_ = 0;  // all records up to this one are below
  std::atomic<bool> wants_epoch_ = false;    // to close the one that is open
  std::uint64_t epoch_due_ns_ = 0;
  appender::outcome pumped_ = appender::outcome::nothing_waits;
  bool voided_ = false;
  std::atomic<bool> disowning_ = false;  // the medium is being told that the log is void
  bool leaves_ = false;                  // the seat: another one looks at what comes now
  unsigned under_way_ = 0;
  std::uint64_t rests_until_ns_ = 0;
};

}  // namespace sluice::journal
