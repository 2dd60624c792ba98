#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "actors/memory/zeroed_array.hpp"
#include "actors/reactor/loop.hpp"
#include "tiers/cache/flash/flash_binding.hpp"
#include "tiers/cache/flash/flash_format.hpp"
#include "tiers/cache/flash/flash_index.hpp"

namespace sluice::cache {

struct flash_options {
  std::string path;              // empty: no flash
  std::uint64_t size_bytes = 0;  // of a file, made when absent; 0: a device, or a file that is there, as it is
  std::uint32_t segment_blocks = 256;
  std::uint64_t region_blocks = flash::region_blocks_default;
  bool journals = false;          // its front is a journal's, and the tier lies behind that
  std::uint64_t dirty_bytes = 0;  // of the journal; 0: an eighth of the flash, at least 16 MiB
  bool operator==(const flash_options&) const = default;
};

/// The file or device, open: of one tier, or of some that take each other's place, and of the journal before it.
struct flash_file {
  flash_file(reactor::loop& opened_by, reactor::handle opened, std::string where)
      : control_loop(opened_by), handle(opened), path(std::move(where)) {}
  ~flash_file() { control_loop.close(handle); }
  flash_file(const flash_file&) = delete;
  flash_file& operator=(const flash_file&) = delete;

  reactor::loop& control_loop;
  const reactor::handle handle;
  const std::string path;
};

/// The flash of a cache as all cores see it: which blocks lie where, and which of them a restart may trust.
///
/// Nothing on flash is ever changed when a block is written below: that would cost every write a write to flash.
/// Instead the store below is divided into regions, and the region table on flash says up to which segment the blocks
/// of a region are void. Before the first write below to a region that newer segments may hold blocks of, its entry is
/// made durable; all further writes to the region cost nothing until a new segment takes blocks of it. So whenever the
/// power goes, what the headers and the table say together is never more than what is true.
class flash_tier {
 public:
  /// Opens the file or device; blocking. What lies on it is found out by flash_recovery. errc::invalid_argument when it
  /// is too small or too large, errc::busy when somebody else holds it, or a journal with data; then `may_change` when
  /// that is an error, before anything of the file is changed.
  static result<std::shared_ptr<flash_tier>> open(const flash_options& wanted, std::uint64_t store_bytes,
                                                  reactor::loop& control_loop, std::shared_ptr<flash_binding> binding,
                                                  const result<void>& may_change = {});
  /// Over the file that this tier has open, for another size; nothing changes before begin_anew(). Blocking.
  result<std::shared_ptr<flash_tier>> successor(const flash_options& wanted, std::uint64_t store_bytes) const;
  /// The tier begins at the octet `base_bytes` of the file.
  flash_tier(std::shared_ptr<const flash_file> opened, const flash::superblock& layout, std::uint64_t base_bytes,
             std::uint64_t resize_to, std::shared_ptr<flash_binding> binding);
  flash_tier(const flash_tier&) = delete;
  flash_tier& operator=(const flash_tier&) = delete;

  const std::shared_ptr<const flash_file> file;
  const reactor::handle handle;
  const std::string& path;
  const std::uint64_t base_bytes;
  /// Set by recovery, before it says that it is done.
  flash::superblock layout;
  const std::shared_ptr<flash_binding> binding;
  /// Before anybody uses the tier: what lies on it is believed when the medium below says that it was told of every
  /// write. An error when the medium cannot be asked. Blocking.
  result<void> confirm();
  /// The id of the superblock under which that is so; 0: none.
  std::uint64_t believed_id() const noexcept { return believed_id_; }

  enum class state : std::uint8_t {
    unknown,     // nobody has looked yet; writes wait
    recovering,  // likewise
    ready,
    retired,   // nothing is read from it or kept on it any more; what lies there is still made void
    spoilt,    // what lies on it can't be trusted: the next write wipes the superblock first
    spoiling,  // somebody does, or has the medium note that it is stale; writes wait
    failed,    // nothing is asked of it any more
  };
  state now() const noexcept { return state_.load(std::memory_order_acquire); }
  bool ready() const noexcept { return now() == state::ready; }
  bool writes_wait() const noexcept {
    const state s = now();
    return s == state::unknown || s == state::recovering || s == state::spoiling;
  }
  /// The one that gets true recovers.
  bool claim_recovery() noexcept {
    state expected = state::unknown;
    return state_.compare_exchange_strong(expected, state::recovering);
  }
  void give_up_recovery() noexcept {
    state expected = state::recovering;
    state_.compare_exchange_strong(expected, state::unknown);
  }
  void recovered() noexcept {
    state expected = state::recovering;
    state_.compare_exchange_strong(expected, state::ready);
  }
  /// To `retired`, `spoilt` or `failed`, never back; the first reason is the one that is told.
  void give_up(state to, const std::string& why) noexcept;
  /// The one that gets true wipes the superblock, and gives up to `failed`.
  bool claim_spoiling() noexcept {
    state expected = state::spoilt;
    return state_.compare_exchange_strong(expected, state::spoiling);
  }
  /// Before tables come to lie where there may have been a journal, which holds nothing any more. Blocking.
  result<void> forget_journal();
  /// Before anybody uses the tier: the file gets its size, and what lies on it is void. Blocking.
  result<void> begin_anew();
  /// For ever: the store below is written to past the tier from now on, or another one takes its place. What lies on
  /// flash is void, durably; when neither it nor the medium can be told, the log says so. A tier that nobody has looked
  /// at yet begins anew instead. Blocking; control path.
  void take_away() noexcept;
  /// Octets that are no superblock, of block_bytes, for direct I/O.
  static bytes no_superblock() noexcept;
  /// What lies on it is void, and neither it nor the medium says so.
  void set_stale() noexcept { stale_.store(true, std::memory_order_release); }
  /// How the write of a segment went: after some that failed in a row the tier retires.
  void segment_went(bool good) noexcept;
  /// "good", or a sentence.
  std::string health() const;

  // -- slots ------------------------------------------------------------------------------------------------------
  std::uint64_t offset_of(slot s) const { return base_bytes + (layout.first_segment_block() + s) * block_bytes; }
  std::uint64_t offset_of_segment(std::uint64_t segment) const {
    return base_bytes + (layout.first_segment_block() + segment * layout.segment_blocks) * block_bytes;
  }
  flash_index index;
  std::uint32_t crc_of(slot s) const noexcept { return crcs_[s].load(std::memory_order_acquire); }
  void set_slot(slot s, block_number block, std::uint32_t crc) noexcept {
    blocks_[s].store(block + 1, std::memory_order_relaxed);
    crcs_[s].store(crc, std::memory_order_release);
  }
  /// 0: never written.
  std::uint64_t sequence_of_slot(slot s) const noexcept {
    return segment_sequences_[s / layout.segment_blocks].load(std::memory_order_acquire);
  }
  void set_sequence(std::uint64_t segment, std::uint64_t sequence) noexcept {
    segment_sequences_[segment].store(sequence, std::memory_order_release);
  }

  // -- the log ----------------------------------------------------------------------------------------------------
  /// The oldest segment, whose blocks are no longer found afterwards, for the caller to write; it says when it has.
  /// UINT64_MAX when all are being written.
  std::uint64_t take_segment() noexcept;
  void segment_written(std::uint64_t segment) noexcept { busy_segments_[segment].store(0, std::memory_order_release); }
  std::uint64_t next_sequence() noexcept { return sequence_.fetch_add(1, std::memory_order_seq_cst); }
  /// Recovery: the segment to be written next, and the sequence number.
  void go_on_from(std::uint64_t segment, std::uint64_t sequence) noexcept {
    next_segment_.store(segment);
    sequence_.store(sequence);
  }

  // -- regions ----------------------------------------------------------------------------------------------------
  std::uint64_t region_of(block_number block) const { return block / layout.region_blocks; }
  bool covers(block_number block) const { return region_of(block) < layout.regions(); }
  /// Before a segment that holds a block of the region is written.
  void raise_newest(std::uint64_t region, std::uint64_t sequence) noexcept { raise(newest_[region], sequence); }
  /// Whether a block of the region may lie on flash under a header that the table does not void.
  bool must_void(std::uint64_t region) const noexcept {
    return newest_[region].load(std::memory_order_seq_cst) > voided_[region].load(std::memory_order_seq_cst);
  }
  void want_void(std::uint64_t region) noexcept {
    raise(wanted_[region], newest_[region].load(std::memory_order_seq_cst));
  }
  std::uint64_t voided(std::uint64_t region) const noexcept { return voided_[region].load(std::memory_order_acquire); }
  /// Recovery: what the table says.
  void set_voided(std::uint64_t region, std::uint64_t sequence) noexcept {
    voided_[region].store(sequence);
    wanted_[region].store(sequence);
  }
  /// Recovery: the table is to say so; it does not yet, or not for sure.
  void void_later(std::uint64_t region, std::uint64_t sequence) noexcept {
    voided_[region].store(0);
    wanted_[region].store(sequence);
  }
  /// One core at a time writes a page of the table.
  bool take_page(std::uint64_t page) noexcept { return busy_pages_[page].exchange(1, std::memory_order_acq_rel) == 0; }
  void page_image(std::uint64_t page, bytes to) const;
  /// The image, which page_image() made, is durable.
  void page_written(const_bytes image, std::uint64_t page) noexcept;
  void drop_page(std::uint64_t page) noexcept { busy_pages_[page].store(0, std::memory_order_release); }

  // -- what the store below may lose when the power goes --------------------------------------------------------
  /// A write to the region was acknowledged, or failed, that a flush must make durable: until one has, what is read of
  /// it must not outlive the power on flash.
  void unflushed(std::uint64_t region) noexcept {
    raise(unflushed_[region], flushes_begun_.load(std::memory_order_seq_cst) + 1);
  }
  /// Likewise to any region.
  void all_unflushed() noexcept {
    for (std::uint64_t region = 0; region < unflushed_.size(); ++region) unflushed(region);
  }
  std::uint64_t flush_begins() noexcept { return flushes_begun_.fetch_add(1, std::memory_order_seq_cst) + 1; }
  void flush_ended(std::uint64_t begun) noexcept { raise(flushes_done_, begun); }
  bool is_durable_below(std::uint64_t region) const noexcept {
    return unflushed_[region].load(std::memory_order_seq_cst) <= flushes_done_.load(std::memory_order_seq_cst);
  }

  /// A block was not kept because it is not durable below.
  void want_flush() noexcept { flush_wanted_.store(true, std::memory_order_relaxed); }
  /// True for one core, once a second at most, while blocks wait for a flush that nobody else asks for.
  bool claim_flush(std::uint64_t now_ns) noexcept {
    if (!flush_wanted_.load(std::memory_order_relaxed)) return false;
    std::uint64_t next = next_flush_ns_.load(std::memory_order_relaxed);
    if (now_ns < next || !next_flush_ns_.compare_exchange_strong(next, now_ns + ns_per_s)) return false;
    flush_wanted_.store(false, std::memory_order_relaxed);
    return true;
  }

  // -- figures ----------------------------------------------------------------------------------------------------
  std::atomic<std::uint64_t> written_bytes = 0;
  std::atomic<std::uint64_t> corrupt_blocks = 0;
  std::atomic<std::uint64_t> read_errors = 0;
  std::atomic<std::uint64_t> recovered_blocks = 0;
  std::atomic<std::uint64_t> voids = 0;  // pages of the region table written
  std::uint64_t memory_bytes() const noexcept;

 private:
  static void raise(std::atomic<std::uint64_t>& what, std::uint64_t to) noexcept {
    std::uint64_t seen = what.load(std::memory_order_seq_cst);
    while (seen < to && !what.compare_exchange_weak(seen, to, std::memory_order_seq_cst)) {
    }
  }

  static result<std::shared_ptr<flash_tier>> over(std::shared_ptr<const flash_file> file, const flash_options& wanted,
                                                  std::uint64_t store_bytes, bool resizes_now,
                                                  std::shared_ptr<flash_binding> binding);
  /// Raises the state; whether it was lower.
  bool raise_state(state to) noexcept;

  const std::uint64_t resize_to_;  // 0: the file has its size
  std::uint64_t believed_id_ = 0;
  std::atomic<state> state_ = state::unknown;
  std::atomic<bool> stale_ = false;
  mutable std::mutex guard_;  // of why_failed_
  std::string why_failed_;
  std::atomic<unsigned> failed_segments_ = 0;  // in a row

  memory::zeroed_array<std::atomic<std::uint32_t>> crcs_;
  memory::zeroed_array<std::atomic<std::uint64_t>> blocks_;  // plus one, by slot
  memory::zeroed_array<std::atomic<std::uint64_t>> segment_sequences_;
  memory::zeroed_array<std::atomic<std::uint8_t>> busy_segments_;
  std::atomic<std::uint64_t> next_segment_ = 0;
  std::atomic<std::uint64_t> sequence_ = 1;

  memory::zeroed_array<std::atomic<std::uint64_t>> newest_;  // by region: the last segment that may hold blocks of it
  memory::zeroed_array<std::atomic<std::uint64_t>> wanted_;  // what the table shall say
  memory::zeroed_array<std::atomic<std::uint64_t>> voided_;  // what the table says, durably
  memory::zeroed_array<std::atomic<std::uint64_t>> unflushed_;  // the flush that makes its last write durable
  memory::zeroed_array<std::atomic<std::uint8_t>> busy_pages_;
  std::atomic<std::uint64_t> flushes_begun_ = 0;
  std::atomic<std::uint64_t> flushes_done_ = 0;
  std::atomic<bool> flush_wanted_ = false;
  std::atomic<std::uint64_t> next_flush_ns_ = 0;
};

}  // namespace sluice::cache
