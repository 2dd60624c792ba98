#pragma once
#include <memory>
#include <vector>

#include "actors/memory/slab.hpp"
#include "tiers/journal/journal_core.hpp"
#include "tiers/store/scatter.hpp"
#include "tiers/store/store.hpp"

namespace sluice::journal {

class overlay_reader;

/// One read, a window of blocks at a time: what is dirty comes from flash, all else from the store below. Reused.
class overlay_read final {
 public:
  explicit overlay_read(overlay_reader& owner) : owner_(owner) {}
  void start(store::request& r) noexcept;
  /// Does what was put off.
  void go_on() noexcept { (this->*step_)(); }

  overlay_read* next = nullptr;  // the reader's

 private:
  /// A run of blocks that is read in one go.
  class piece final : public store::request, public reactor::operation {
   public:
    explicit piece(overlay_read& of) : of_(of) {}
    void done(store::status outcome) noexcept override { of_.below_ended(*this, outcome); }
    void on_complete(std::int64_t result) noexcept override { of_.flash_ended(*this, result); }
    std::vector<iovec> below_parts;
    iovec flash_part{};

   private:
    overlay_read& of_;
  };
  struct dirty {
    block_number block;
    journal_index::place at;
    std::uint32_t bounce;  // its block in bounce_
  };

  void begin_window() noexcept;
  bool look_up() noexcept;
  void start_pieces() noexcept;
  void read_below(std::uint64_t from, std::uint64_t until) noexcept;
  void read_flash(const dirty& first, std::uint32_t count) noexcept;
  void below_ended(piece& one, store::status outcome) noexcept;
  void flash_ended(piece& one, std::int64_t result) noexcept;
  void piece_ended() noexcept;
  void window_ended() noexcept;
  bool still_there() const noexcept;
  bool check() noexcept;
  void overlay() noexcept;
  void finish() noexcept;
  piece& take_piece() noexcept;
  block_number block_of(std::uint64_t offset) const noexcept { return offset / block_bytes; }

  overlay_reader& owner_;
  store::request* outer_ = nullptr;
  void (overlay_read::*step_)() noexcept = nullptr;  // what comes next, when something is put off
  std::uint64_t from_ = 0;                           // the window, octets of the store
  std::uint64_t until_ = 0;
  std::uint64_t freed_ = 0;
  std::vector<dirty> dirty_;
  std::uint32_t data_blocks_ = 0;
  memory::slice bounce_;
  std::vector<std::unique_ptr<piece>> pieces_;
  std::size_t pieces_used_ = 0;
  std::size_t pieces_left_ = 0;
  store::status outcome_ = store::status::good;
  bool flash_failed_ = false;
  unsigned failures_ = 0;
};

/// Reads what a journal and the store below it hold together, on one loop.
class overlay_reader {
 public:
  /// `below` is this loop's channel; the three outlive the reader.
  overlay_reader(journal_core& core, store::channel& below, reactor::loop& loop)
      : core_(core), below_(below), loop_(loop) {}
  ~overlay_reader();
  void read(store::request& r) noexcept;

 private:
  friend class overlay_read;
  void give_back(overlay_read& one) noexcept;
  /// Its go_on() comes in a later turn; in about a millisecond.
  void defer(overlay_read& one) noexcept;
  void wait(overlay_read& one) noexcept;
  void run_deferred() noexcept;
  void look_again() noexcept;

  journal_core& core_;
  store::channel& below_;
  reactor::loop& loop_;
  std::vector<std::unique_ptr<overlay_read>> all_;
  overlay_read* free_ = nullptr;
  overlay_read* deferred_ = nullptr;
  overlay_read* waiting_ = nullptr;
  reactor::member_runnable<overlay_reader, &overlay_reader::run_deferred> run_deferred_{*this};
  reactor::member_timer<overlay_reader, &overlay_reader::look_again> timer_{*this};
};

}  // namespace sluice::journal
