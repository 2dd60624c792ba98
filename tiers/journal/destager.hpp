#pragma once
#include <array>
#include <memory>
#include <vector>

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
  void write_again() noexcept { write_next(); }
  bool busy = false;

 private:
  class piece final : public reactor::operation {
   public:
    void on_complete(std::int64_t result) noexcept override { of->piece_read(*this, result); }
    destage_batch* of = nullptr;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    iovec part{};
  };

  void read(std::uint32_t first, std::uint32_t count) noexcept;
  void piece_read(piece& one, std::int64_t result) noexcept;
  void check() noexcept;
  void write_next() noexcept;

  destager* owner_ = nullptr;
  kind kind_ = kind::data;
  std::vector<block> blocks_;
  std::vector<bool> bad_;
  bool second_look_ = false;
  aligned_memory memory_;
  std::vector<std::unique_ptr<piece>> pieces_;
  std::size_t pieces_used_ = 0;
  std::size_t pieces_left_ = 0;
  std::uint32_t written_ = 0;  // blocks that the store below has, or cannot have
  std::uint32_t writing_ = 0;
  iovec below_part_{};
};

/// Brings closed epochs below, run after run: the newest version of each block in the run, in the order of the blocks;
/// then a flush; then the superblock, twice; then the slots are free. So the store below always holds all runs up to
/// one, and a part of the next. On the owner's loop.
class destager {
 public:
  destager(journal_core& core, journal_owner& owner);
  /// Starts what may be started.
  void look() noexcept;
  bool at_work() const noexcept { return phase_ != phase::idle; }
  /// Between runs: writes the superblock as it is to be, both copies; owner.superblock_written() comes then.
  void write_superblock() noexcept;
  /// When look() has to be called next though nothing happens; 0: need not be.
  std::uint64_t due_ns() const noexcept { return failures_ != 0 && at_work() ? resume_ns_ : 0; }
  /// How the store below refused last.
  store::status failed_as() const noexcept { return failed_as_; }

 private:
  friend class destage_batch;
  static constexpr unsigned depth = 16;
  enum class phase : std::uint8_t { idle, blocks, flushing, superblock };

  class flush_request final : public store::request {
   public:
    void done(store::status outcome) noexcept override { owner->flushed(outcome); }
    destager* owner = nullptr;
  };
  class copy_write final : public reactor::operation {
   public:
    void on_complete(std::int64_t result) noexcept override { owner->copy_written(result); }
    destager* owner = nullptr;
  };

  void begin_run() noexcept;
  void gather_blocks() noexcept;
  void bring_blocks() noexcept;
  bool start_batch() noexcept;
  void batch_ended(destage_batch& one, store::status outcome) noexcept;
  void flushed(store::status outcome) noexcept;
  void below_failed(const char* what, store::status outcome) noexcept;
  void write_copies() noexcept;
  void write_copy() noexcept;
  void copy_written(std::int64_t result) noexcept;
  void end_run() noexcept;

  journal_core& core_;
  journal_owner& owner_;
  phase phase_ = phase::idle;
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
  bool step_started_ = false;  // the flush, or the superblock's first copy
  copy_write copy_;
  aligned_memory image_;
  iovec image_part_{};
  std::uint64_t copies_written_ = 0;
  std::uint64_t first_copy_ = 0;  // the one that may be torn, when the other is all there is
};

}  // namespace sluice::journal
