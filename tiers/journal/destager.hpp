#pragma once
#include <array>
#include <memory>
#include <vector>

#include "actors/base/routine.hpp"
#include "tiers/journal/journal_core.hpp"
#include "tiers/store/store.hpp"

namespace sluice::journal {

class journal_owner;
class destager;

/// A stretch of the store that is brought below: read from flash, then written. Reused.
class destage_batch final : public store::request {
 public:
  struct block {
    block_number number;
    slot where;
  };
  static constexpr std::uint32_t data_limit = 128;     // blocks
  static constexpr std::uint32_t zeroes_limit = 8192;  // likewise

  void start(destager& owner, kind what, std::vector<block>&& blocks) noexcept;
  void done(store::status outcome) noexcept override;
  /// The write below once more, after it failed.
  void write_again() noexcept { place_.resume(); }
  bool busy() const noexcept { return !blocks_.empty(); }
  waiting_place& waiting() noexcept { return place_; }

 private:
  class piece final : public reactor::operation {
   public:
    void on_complete(std::int64_t result) noexcept override { of->piece_read(*this, result); }
    destage_batch* of = nullptr;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    iovec part{};
  };

  routine bring() noexcept;
  void read_all() noexcept;
  void read_bad_again() noexcept;
  void read(std::uint32_t first, std::uint32_t count) noexcept;
  void piece_read(piece& one, std::int64_t result) noexcept;
  bool any_bad() const noexcept;
  void lose_bad() noexcept;
  bool has_next() noexcept;

  destager* owner_ = nullptr;
  waiting_place place_;
  kind kind_ = kind::data;
  std::vector<block> blocks_;
  std::vector<bool> bad_;
  aligned_memory memory_;
  std::vector<std::unique_ptr<piece>> pieces_;
  std::size_t pieces_used_ = 0;
  std::size_t pieces_left_ = 0;
  std::uint32_t written_ = 0;  // blocks that the store below has, or cannot have
  std::uint32_t writing_ = 0;
  store::status said_ = store::status::good;  // by the store below
  iovec below_part_{};
};

/// Brings closed epochs below, run after run: the newest version of each block in the run, in the order of the blocks;
/// then a flush; then the superblock, twice; then the slots are free. So the store below always holds all runs up to
/// one, and a part of the next. On the owner's loop.
class destager {
 public:
  destager(journal_core& core, journal_owner& owner);
  /// Starts what may be started, and goes on with what waits for a turn.
  void look() noexcept;
  bool at_work() const noexcept { return at_work_; }
  /// Between runs: writes the superblock as it is to be, both copies; owner.superblock_written() comes then.
  routine write_what_is() noexcept;
  waiting_place& waiting() noexcept { return place_; }
  /// When look() has to be called next though nothing happens; 0: need not be.
  std::uint64_t due_ns() const noexcept { return failures_ != 0 && (at_work_ || must_flush()) ? resume_ns_ : 0; }
  /// How the store below refused last.
  store::status failed_as() const noexcept { return failed_as_; }

 private:
  friend class destage_batch;
  static constexpr unsigned depth = 16;

  class flush_request final : public store::request {
   public:
    void done(store::status outcome) noexcept override {
      said = outcome;
      owner->place_.resume();
    }
    destager* owner = nullptr;
    store::status said = store::status::good;
  };
  class copy_write final : public reactor::operation {
   public:
    void on_complete(std::int64_t outcome) noexcept override {
      result = outcome;
      owner->place_.resume();
    }
    destager* owner = nullptr;
    std::int64_t result = 0;
  };

  bool plan_run() noexcept;
  routine bring_run() noexcept;
  /// What was written below before there was a journal, and that needs it.
  bool must_flush() const noexcept { return !core_.below_is_flushed && !core_.others_write_below(); }
  routine flush_what_was_below() noexcept;
  void gather_blocks() noexcept;
  bool bring_blocks() noexcept;
  bool start_batch() noexcept;
  void batch_refused(destage_batch& one, store::status outcome) noexcept;
  void batch_ended() noexcept;
  /// `co_await`: look() that finds no reason to pause.
  auto next_turn() noexcept {
    return until(place_, [this] { waits_for_turn_ = true; });
  }
  subroutine<bool> flush() noexcept;
  subroutine<bool> write_superblock() noexcept;
  void below_failed(const char* what, store::status outcome) noexcept;
  void end_run() noexcept;
  void rest() noexcept;

  journal_core& core_;
  journal_owner& owner_;
  waiting_place place_;
  bool at_work_ = false;
  bool waits_for_turn_ = false;
  std::uint64_t run_end_ = 0;
  std::size_t run_epochs_ = 0;
  std::uint64_t run_started_ns_ = 0;
  std::uint64_t run_bytes_ = 0;
  std::vector<destage_batch::block> blocks_;  // of the run, sorted
  std::size_t next_block_ = 0;
  std::array<std::unique_ptr<destage_batch>, depth> batches_;
  std::vector<destage_batch*> failed_;
  unsigned busy_ = 0;
  unsigned failures_ = 0;                                  // of the store below, in a row
  store::status failed_as_ = store::status::medium_error;  // the last one
  std::uint64_t resume_ns_ = 0;
  flush_request flush_;
  copy_write copy_;
  aligned_memory image_;
  iovec image_part_{};
  std::uint64_t first_copy_ = 0;  // the one that may be torn, when the other is all there is
};

}  // namespace sluice::journal
