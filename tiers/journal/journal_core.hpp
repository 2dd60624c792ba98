#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "actors/observe/latency_counts.hpp"
#include "actors/reactor/loop.hpp"
#include "tiers/journal/block_set.hpp"
#include "tiers/journal/journal_index.hpp"
#include "tiers/journal/log_reader.hpp"
#include "tiers/journal/ownership_keeper.hpp"
#include "tiers/store/change_listeners.hpp"

namespace sluice::journal {

struct options {
  std::string path;    // of the flash: for the operator
  std::string medium;  // the store below, as the operator calls it
  std::uint64_t journal_bytes = 0;
  std::uint32_t record_blocks = record_blocks_limit;
  bool is_volatile = false;                          // the flash is memory: what it holds is durable only below
  std::uint64_t destage_delay_ns = 100 * ns_per_ms;  // how long written data wait when nobody flushes, at first
  /// Units use the store below already, and it promised them less: what they wrote needs a flush to be durable.
  bool was_volatile = false;
  std::uint64_t first_sequence = 1;  // of a journal that begins anew: beyond the numbers of the one before
  reactor::offload offload = {};     // for calls that block; empty: what suits the loops
};

/// The flash of a journal: it begins at the file's first octet. `keeper` closes it when the last one has let go.
struct journal_medium {
  reactor::loop& control_loop;
  reactor::handle handle;
  std::shared_ptr<const void> keeper;
};

enum class state : std::uint8_t {
  journaling,  // writes are durable on flash, and brought below later
  draining,    // writes wait until all that is on flash is below
  passing,     // nothing is on flash; writes pass to the store below
};

/// What a journal counts. One thread adds, any reads.
struct journal_figures {
  std::atomic<std::uint64_t> records = 0;
  std::atomic<std::uint64_t> written_bytes = 0;        // to flash
  std::atomic<std::uint64_t> destaged_bytes = 0;       // from flash to the store below
  std::atomic<std::uint64_t> destage_bytes_per_s = 0;  // in the last run
  std::atomic<std::uint64_t> epochs = 0;               // brought below
  std::atomic<std::uint64_t> throttled_records = 0;
  std::atomic<std::uint64_t> below_errors = 0;
  std::atomic<std::uint64_t> log_used_blocks = 0;
  std::atomic<std::uint64_t> last_record = 0;  // that was acknowledged
  std::atomic<std::uint64_t> run_end = 0;      // the last record that is being brought below, or was
  observe::latency_counts write;               // from a write's arrival at the owner to its answer
};

/// What the channels of all cores and the owner of a journal share.
class journal_core {
 public:
  /// `found` is what the log holds already.
  journal_core(options wanted, journal_medium flash, const superblock& found_super, const found_log& found,
               std::uint64_t life, std::uint64_t store_bytes);
  journal_core(const journal_core&) = delete;
  journal_core& operator=(const journal_core&) = delete;

  const options wanted;
  const journal_medium flash;
  const slot slots;
  journal_index index;
  journal_figures figures;
  std::atomic<state> now = state::draining;
  std::atomic<std::uint64_t> store_bytes;
  std::atomic<std::uint64_t> destage_delay_ns;
  /// What was written below before this journal held anything back is durable there.
  std::atomic<bool> below_is_flushed;
  /// Else what units write from now on could outlive what they wrote before, and nobody was told: it does not go to the
  /// log, nor, when units believe that they need no flush, anywhere. The owner asks.
  bool may_journal() const noexcept { return below_is_flushed || lost_below; }
  bool may_pass() const noexcept { return may_journal() || wanted.was_volatile || others_write_below(); }
  bool lost_below = false;  // the last flush there said so, and units hear of it
  /// How often others began to write below, and ended: odd while they do. The control thread changes it.
  std::atomic<std::uint32_t> others_below = 0;
  bool others_write_below() const noexcept { return others_below % 2 != 0; }

  /// Octets of a block that lie within the store: fewer than block_bytes in its last one, 0 beyond it.
  std::uint32_t valid_bytes(block_number block) const noexcept;

  // -- any thread: what went wrong -----------------------------------------------------------------------------------
  /// Nothing is written to flash any more; the first reason is the one that is told.
  void fail_flash(const std::string& why) noexcept;
  bool flash_failed() const noexcept { return flash_failed_.load(std::memory_order_acquire); }
  /// What the store below does, in a sentence; empty when it does what it should.
  void set_below_trouble(const std::string& what) noexcept;
  /// The superblock could not say that the log is void.
  void set_stale() noexcept { stale_.store(true, std::memory_order_release); }
  bool stale() const noexcept { return stale_.load(std::memory_order_acquire); }
  /// The medium below cannot be marked, and nothing is held back from it therefore.
  void set_unmarked(bool unmarked) noexcept { unmarked_.store(unmarked, std::memory_order_release); }
  /// The medium has noted the epoch of the superblock.
  void set_claimed() noexcept { claimed_.store(true, std::memory_order_release); }
  /// Whom initiators are to be warned by: told when the flash failed, or when blocks were lost that nobody had heard
  /// of.
  store::change_listeners listeners;
  std::uint32_t losses() const noexcept { return losses_.load(std::memory_order_acquire); }
  std::string health() const;

  // -- any thread: blocks that were acknowledged and are no more -----------------------------------------------------
  bool any_lost() const noexcept { return lost_count_.load(std::memory_order_acquire) != 0; }
  std::uint64_t lost_blocks() const noexcept { return lost_count_.load(std::memory_order_acquire); }
  bool is_lost(block_number block) const;
  void lose(block_number block);
  void found_again(block_number first, block_number last);  // [first, last) was written anew
  std::uint64_t forget_lost();                              // they read as what lies below; how many they are
  std::vector<block_range> lost_ranges() const;
  /// The flash tells of lost blocks, none of which is lost any more.
  bool has_regained() const noexcept { return !super.lost.empty() && !any_lost() && !wanted.is_volatile; }

  // -- the owner: the log ---------------------------------------------------------------------------------------------
  superblock super;  // as it is on flash, but for what changed since
  log_position head = 0;
  log_position tail = 0;
  std::uint64_t next_sequence = 1;
  std::uint64_t acknowledged = 0;  // all records up to this one are durable
  std::uint64_t last_life = 0;     // of the record before next_sequence
  const std::uint64_t life;
  std::deque<record_info> records;   // durable, and not yet brought below
  std::deque<std::uint64_t> epochs;  // the last record of each that is closed
  std::deque<record_info>::const_iterator record_behind(std::uint64_t sequence) const noexcept;
  slot slot_of(log_position at) const noexcept { return static_cast<slot>(at % slots); }
  log_position place(log_position at) const noexcept { return place_of_record(at, slots, super.record_blocks); }
  bool has_room() const noexcept { return place(head) + super.record_blocks <= tail + slots; }
  double fill() const noexcept { return static_cast<double>(head - tail) / static_cast<double>(slots); }
  /// Everything that was written until now is one epoch.
  void close_epoch();
  bool epoch_is_open() const noexcept { return next_sequence != first_of_epoch(); }
  std::uint64_t open_blocks() const noexcept;
  /// `super` says that the log begins behind this record; the slots before are free when reach_tail() is called, after
  /// `super` is durable.
  void plan_tail(const record_info& last);
  void reach_tail();
  /// The record, and all behind it, came to nothing.
  void retract(log_position position, std::uint64_t sequence);
  /// With nothing in the log: whatever lies on flash is none of it any more. Says so in `super`.
  void restart_log(std::uint64_t sequence, std::uint64_t life_before);
  /// What of `super` follows from the rest.
  void sign_superblock();
  void note_use() noexcept { figures.log_used_blocks.store(head - tail, std::memory_order_relaxed); }

 private:
  std::uint64_t first_of_epoch() const noexcept { return epochs.empty() ? super.tail_sequence : epochs.back() + 1; }

  log_position epoch_from_ = 0;
  log_position planned_tail_ = 0;
  std::atomic<bool> flash_failed_ = false;
  std::atomic<bool> stale_ = false;
  std::atomic<bool> unmarked_ = false;
  std::atomic<bool> claimed_ = false;
  mutable std::mutex guard_;
  std::string why_failed_;
  std::string below_trouble_;
  block_set lost_;
  std::atomic<std::uint64_t> lost_count_ = 0;
  std::atomic<std::uint32_t> losses_ = 0;
};

}  // namespace sluice::journal
