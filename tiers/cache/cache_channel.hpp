#pragma once
#include <memory>
#include <vector>

#include "tiers/cache/channel_roster.hpp"
#include "tiers/cache/pin_fetcher.hpp"
#include "tiers/cache/read_ahead.hpp"
#include "tiers/cache/streams.hpp"
#include "tiers/cache/tier_lease.hpp"
#include "tiers/store/scatter.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

class cache_channel;

/// One request on its way to the store below: what that store sees, and what is kept of it. Reused.
class cache_job final : public store::request {
 public:
  explicit cache_job(cache_channel& owner) : owner_(owner) {}
  void done(store::status outcome) noexcept override { ended(outcome); }

  void start_read(store::request& r, bool keeps) noexcept;
  /// `keeps`: what is written is kept, not only what of it is there already.
  enum class after_write : std::uint8_t { forget, renew, keep };
  void start_write(store::request& r, after_write how) noexcept;
  /// What brings or takes no data, the flush above all.
  void start_pass(store::request& r) noexcept;
  /// Reads what is on flash and not in RAM; false, with nothing done, when some blocks are neither here nor there.
  bool start_flash_read(store::request& r) noexcept;
  /// The next part of a mark that is too long for one turn, or of what waited for the flash.
  void go_on() noexcept;

  cache_job* next_job = nullptr;  // the channel's
  tier_lease* tiers = nullptr;    // those that the request began with

 private:
  enum class phase : std::uint8_t { reading, waiting, beginning, voiding, writing, ending, passing };

  /// A run of blocks that follow each other on flash, as in the request.
  class flash_read final : public reactor::operation {
   public:
    void on_complete(std::int64_t result) noexcept override { owner->flash_read_ended(*this, result); }
    cache_job* owner = nullptr;
    iovec part{};
    std::size_t first_piece = 0;
  };
  struct piece {
    block_number block;
    slot where;
    std::uint32_t crc;
  };

  void ended(store::status outcome) noexcept;
  void send_write() noexcept;
  void finish() noexcept;
  void widen() noexcept;
  void begin_marks() noexcept;
  void mark_unflushed() noexcept;
  void void_regions() noexcept;
  void spoil_superblock() noexcept;
  void disown_flash() noexcept;
  void disowned(bool told) noexcept;
  void page_written(std::int64_t result) noexcept;
  void flash_read_ended(flash_read& one, std::int64_t result) noexcept;
  void flash_reads_ended() noexcept;
  bool check_pieces() noexcept;
  bool assemble() noexcept;

  cache_core& core() const { return *tiers->core; }

  cache_channel& owner_;
  store::request* outer_ = nullptr;
  phase phase_ = phase::reading;
  after_write after_ = after_write::forget;
  bool keeps_ = false;
  bool whole_table_ = false;  // marks all sets instead of each block
  block_number first_ = 0;    // blocks that the request touches: [first_, last_)
  block_number last_ = 0;
  std::uint64_t marked_ = 0;  // blocks or sets that the phase is through with
  store::status outcome_ = store::status::good;
  std::uint64_t started_ns_ = 0;        // 0: not measured
  std::vector<std::uint64_t> tickets_;  // of each block; empty: nothing of it will be kept
  std::vector<iovec> wide_parts_;
  memory::slice edges_;

  // flash
  std::vector<piece> pieces_;
  std::vector<std::unique_ptr<flash_read>> flash_reads_;
  std::size_t reads_left_ = 0;
  bool read_failed_ = false;
  memory::slice bounce_;  // the pieces, or the image of a page of the region table
  std::uint64_t region_ = 0;
  std::uint64_t page_ = 0;
  std::uint64_t flush_ = 0;  // of the flash; 0: none
  bool spoils_superblock_ = false;
  unsigned spoil_tries_ = 0;
  iovec page_part_{};
  reactor::member_operation<cache_job, &cache_job::page_written> page_write_{*this};
};

/// One core's door to a cache store. Reads that hit are answered on the spot, whichever core is home to the blocks;
/// all else passes to the store below on this core, and the homes hear of it afterwards.
class cache_channel final : public store::channel {
 public:
  cache_channel(std::shared_ptr<channel_roster> roster, reactor::loop& home);
  ~cache_channel() override;

  void submit(store::request& r) noexcept override;
  bool borrow(std::uint64_t offset_bytes, std::uint64_t length_bytes,
              std::vector<memory::slice>& out) noexcept override;
  void will_read(std::uint64_t offset_bytes) noexcept override;
  bool try_now(store::request& r, store::status& outcome) noexcept override;
  bool idle() noexcept override;
  store::availability available() const noexcept override { return below().available(); }

  /// The roster's: there are other pins.
  void look_at_pins() noexcept { pins_.look(); }
  /// The roster's: new requests begin with other tiers.
  void go_over(const std::shared_ptr<cache_core>& to);

  // -- for the modes --------------------------------------------------------------------------------------------
  static constexpr std::uint64_t at_once_limit = 1 * mib;
  void write_below(store::request& r, bool keeps) noexcept;
  bool write_below_now(store::request& r, store::status& outcome, bool keeps) noexcept;

 private:
  friend class cache_job;
  friend class pin_fetcher;
  friend class read_ahead;

  /// For the recorder, when it is on.
  void note(store::verb what, std::uint64_t offset_bytes, std::uint64_t length_bytes) noexcept {
    if (roster_->recorder.is_on()) [[unlikely]]
      roster_->recorder.note(what, offset_bytes, length_bytes, home_.now_ns());
  }
  void fetch_ahead() noexcept;
  bool hit(store::request& r) noexcept;
  /// When a read that goes below began; 0: it is not measured.
  std::uint64_t sample_miss() noexcept;
  bool absent(std::uint64_t offset_bytes, std::uint64_t length_bytes) const noexcept {
    return absent_offset_ == offset_bytes && absent_length_ == length_bytes;
  }
  void read(store::request& r) noexcept;
  /// `run`: how many octets the read's stream is long by now.
  void read_below(store::request& r, std::uint64_t run) noexcept;
  bool read_below_now(store::request& r, store::status& outcome) noexcept;
  bool passes_by(const store::request& r, std::uint64_t run) noexcept;
  cache_job::after_write after(const store::request& r, bool keeps) noexcept;
  /// Caches blocks whose content is in `parts`, which begin at `offset_bytes` of the store. `tickets` are of the blocks
  /// [first, first + count).
  void keep(cache_core& core, block_number first, const std::vector<std::uint64_t>& tickets, std::uint64_t offset_bytes,
            std::uint64_t length_bytes, store::scatter parts, ram_shard::keep how) noexcept;

  cache_job& take_job();
  void give_back(cache_job& job) noexcept;
  void step_later(cache_job& job) noexcept;
  void run_later() noexcept;
  /// Calls the job's go_on() in about a millisecond.
  void wait_for_flash(cache_job& job) noexcept;
  /// About each millisecond, while jobs wait for the flash or old tiers are still in use.
  void look_again() noexcept;
  void let_go_of_old_tiers();
  cache_core& core() const { return *tiers_->core; }
  store::channel& below() const { return *tiers_->below; }

  const std::shared_ptr<channel_roster> roster_;
  reactor::loop& home_;
  counters counted_;
  stream_detector reads_;
  stream_detector writes_;
  bool below_acts_now_ = true;  // until it turned down enough
  unsigned turned_down_ = 0;
  std::uint64_t sampling_ = 0, sampling_misses_ = 0;
  // What the last look did not find in RAM: a unit tries each way of answering the same read, one after the other.
  std::uint64_t absent_offset_ = 0, absent_length_ = 0;

  // What will_read() named: a ring, and how many there were, how many have their frames fetched, how many were read.
  static constexpr std::uint64_t foreseen_limit = 256;
  block_number foreseen_[foreseen_limit] = {};
  std::uint64_t foreseen_count_ = 0, fetched_ = 0, begun_ = 0;

  std::vector<std::unique_ptr<cache_job>> jobs_;
  cache_job* free_ = nullptr;
  cache_job* stepping_first_ = nullptr;
  cache_job* stepping_last_ = nullptr;
  store::request_queue finished_;
  std::vector<std::uint64_t> spot_tickets_;
  std::vector<slot> spot_slots_;
  std::unique_ptr<std::uint8_t[]> scrap_;  // a block that a scatter list holds in pieces
  bool closing_ = false;
  reactor::member_runnable<cache_channel, &cache_channel::run_later> run_later_{*this};
  cache_job* waiting_ = nullptr;
  reactor::member_timer<cache_channel, &cache_channel::look_again> look_timer_{*this};
  std::unique_ptr<tier_lease> tiers_;
  std::vector<std::unique_ptr<tier_lease>> old_tiers_;
  pin_fetcher pins_{*this};
  read_ahead ahead_{*this};
};

}  // namespace sluice::cache
