#pragma once
#include <memory>
#include <vector>

#include "actors/base/routine.hpp"
#include "tiers/cache/generation_ref.hpp"
#include "tiers/cache/generation_switch.hpp"
#include "tiers/cache/pin_fetcher.hpp"
#include "tiers/cache/policy/streams.hpp"
#include "tiers/cache/read_ahead.hpp"
#include "tiers/store/scatter.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

class cache_channel;

/// One request on its way: to the store below, from flash, and what is kept of it. Each of its routines takes it from
/// submit to its answer. Reused.
class cache_job final : public store::request {
 public:
  explicit cache_job(cache_channel& owner) : owner_(owner) {}
  void done(store::status outcome) noexcept override {
    if (reading_) return read_ended(outcome);
    below_said_ = outcome;
    place_.resume();
  }

  /// From the store below; no routine, since it waits once. `keeps`: what is read is kept.
  void read(store::request& r, bool keeps) noexcept;
  /// Whether every block of it is in RAM or on flash; if so, read_flash() reads it.
  bool look_on_flash(store::request& r) noexcept;
  routine read_flash() noexcept;
  enum class after_write : std::uint8_t { forget, renew, keep };
  routine write(store::request& r, after_write how) noexcept;
  /// What brings or takes no data, the flush above all.
  routine pass(store::request& r) noexcept;
  /// A turn has passed, or the flash may have changed, whichever it waits for.
  void resume() noexcept { place_.resume(); }
  waiting_place& waiting() noexcept { return place_; }

  cache_job* next_job = nullptr;    // the channel's
  generation_ref* tiers = nullptr;  // those that the request began with

 private:
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

  void begin(store::request& r) noexcept;
  void finish(store::status outcome) noexcept;
  void read_ended(store::status outcome) noexcept;
  void widen() noexcept;
  subroutine<> mark_piecemeal(bool begins) noexcept;
  void mark_unflushed(store::status outcome) noexcept;
  subroutine<> void_regions() noexcept;
  subroutine<> void_page_of(std::uint64_t region, std::uint64_t end) noexcept;
  subroutine<> spoil_superblock() noexcept;
  void plan_flash_reads() noexcept;
  void submit_flash_reads() noexcept;
  void flash_read_ended(flash_read& one, std::int64_t result) noexcept;
  bool check_pieces() noexcept;
  bool assemble() noexcept;
  void count_flash_hit() noexcept;

  // What the routines wait for, by `co_await`.
  auto below_to_answer() noexcept {
    return until(place_, [this] { tiers->below->submit(*this); });
  }
  auto next_turn() noexcept;
  auto flash_to_change() noexcept;
  auto flash_write(std::uint64_t at, const std::uint8_t* block) noexcept;
  void page_written(std::int64_t result) noexcept {
    write_result_ = result;
    place_.resume();
  }

  cache_core& core() const { return *tiers->core; }

  cache_channel& owner_;
  waiting_place place_;
  store::request* outer_ = nullptr;
  store::status below_said_ = store::status::good;
  bool reading_ = false;          // by read(): no routine waits
  std::uint64_t started_ns_ = 0;  // when it is measured
  block_number first_ = 0;        // blocks that the request touches: [first_, last_)
  block_number last_ = 0;
  std::vector<std::uint64_t> fill_versions_;  // of each block; empty: nothing of it will be kept
  std::vector<iovec> wide_parts_;
  memory::slice edges_;

  // flash
  std::vector<piece> pieces_;
  std::vector<std::unique_ptr<flash_read>> flash_reads_;
  std::size_t reads_planned_ = 0, reads_left_ = 0;
  bool read_failed_ = false;
  memory::slice bounce_;  // the pieces, or the image of a page of the region table
  iovec page_part_{};
  std::int64_t write_result_ = 0;
  reactor::member_operation<cache_job, &cache_job::page_written> page_write_{*this};
};

/// One core's interface to a cache store. Reads that hit are answered on the spot, whichever core owns the blocks; all
/// else passes to the store below on this core, and the owners hear of it afterwards.
class cache_channel final : public store::channel {
 public:
  cache_channel(std::shared_ptr<generation_switch> generations, reactor::loop& loop);
  ~cache_channel() override;

  void submit(store::request& r) noexcept override;
  bool borrow(std::uint64_t offset_bytes, std::uint64_t length_bytes,
              std::vector<memory::slice>& out) noexcept override;
  void will_read(std::uint64_t offset_bytes) noexcept override;
  bool try_now(store::request& r, store::status& outcome) noexcept override;
  bool idle() noexcept override;
  store::availability available() const noexcept override { return below().available(); }

  /// The generation switch's: there are other pins.
  void look_at_pins() noexcept { pins_.look(); }
  /// The generation switch's: new requests begin with other tiers.
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
    if (generations_->recorder.is_on()) [[unlikely]]
      generations_->recorder.note(what, offset_bytes, length_bytes, loop_.now_ns());
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
  /// Caches blocks whose content is in `parts`, which begin at `offset_bytes` of the store. `fill versions` are of the
  /// blocks [first, first + count).
  void keep(cache_core& core, block_number first, const std::vector<std::uint64_t>& fill_versions,
            std::uint64_t offset_bytes, std::uint64_t length_bytes, store::scatter parts, ram_shard::keep how) noexcept;

  cache_job& take_job();
  void give_back(cache_job& job) noexcept;
  /// Resumes the job in the next turn.
  void step_later(cache_job& job) noexcept;
  void run_later() noexcept;
  /// Resumes the job in about a millisecond.
  void wait_for_flash(cache_job& job) noexcept;
  /// About each millisecond, while jobs wait for the flash or old tiers are still in use.
  void look_again() noexcept;
  void let_go_of_old_tiers();
  cache_core& core() const { return *tiers_->core; }
  store::channel& below() const { return *tiers_->below; }

  const std::shared_ptr<generation_switch> generations_;
  reactor::loop& loop_;
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
  std::vector<std::uint64_t> spot_fill_versions_;
  std::vector<slot> spot_slots_;
  std::unique_ptr<std::uint8_t[]> scrap_;  // a block that a scatter list holds in pieces
  bool closing_ = false;
  reactor::member_runnable<cache_channel, &cache_channel::run_later> run_later_{*this};
  cache_job* waiting_ = nullptr;
  reactor::member_timer<cache_channel, &cache_channel::look_again> look_timer_{*this};
  std::unique_ptr<generation_ref> tiers_;
  std::vector<std::unique_ptr<generation_ref>> old_tiers_;
  pin_fetcher pins_{*this};
  read_ahead ahead_{*this};
};

inline auto cache_job::next_turn() noexcept {
  return until(place_, [this] { owner_.step_later(*this); });
}
inline auto cache_job::flash_to_change() noexcept {
  return until(place_, [this] { owner_.wait_for_flash(*this); });
}
inline auto cache_job::flash_write(std::uint64_t at, const std::uint8_t* block) noexcept {
  return until(place_, [this, at, block] {
    page_part_ = {const_cast<std::uint8_t*>(block), block_bytes};
    owner_.loop_.write(page_write_, tiers->flash->handle, &page_part_, 1, at, true);
  });
}

}  // namespace sluice::cache
