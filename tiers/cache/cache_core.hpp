#pragma once
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "actors/reactor/loop.hpp"
#include "tiers/cache/flash/flash_writer.hpp"
#include "tiers/cache/modes.hpp"
#include "tiers/cache/ram/ram_shard.hpp"

namespace sluice::journal {
class journal_store;
}

namespace sluice::cache {

/// What a cache is configured to be.
struct options {
  std::uint64_t ram_bytes = 64 * mib;        // of data; what the index takes comes on top
  std::uint64_t bypass_bytes = 1 * mib;      // what of a stream is not kept; 0: all is kept
  std::uint64_t prefetch_bytes = 512 * kib;  // how far ahead of a sequential reader is read; 0: not at all
  const cache::mode* mode = &write_through;
  flash_options flash;
  pin_set pins;
  std::uint64_t volatile_dirty_bytes = 0;            // of a journal in memory, where there is no flash; 0: none
  std::string medium = {};                           // the store below, as the operator calls it
  std::uint64_t destage_delay_ns = 100 * ns_per_ms;  // of the journal
  std::uint32_t record_blocks = 256;                 // of the journal's records
  reactor::offload offload = {};                     // for calls that block; empty: what suits the loops
  bool has_journal() const { return flash.journals || volatile_dirty_bytes != 0; }
};

/// What tiers lie over.
struct foundation {
  std::shared_ptr<store::store> below;              // the journal, or the store that the cache lies over
  std::shared_ptr<journal::journal_store> journal;  // `below`, or null: nothing is held back from that store
  bool is_volatile = true;                          // what `below` acknowledged may need a flush to survive the power
};

/// Blocks on their way to a shard that another core owns.
struct batch {
  struct item {
    block_number block;
    std::uint64_t fill_version;
    ram_shard::keep how;
  };
  std::vector<item> items;
  std::vector<std::uint8_t> content;  // block_bytes for each
};

/// What all channels of a cache store share: its shards, and who owns which.
///
/// Every loop with a channel owns its part of the shards. When the first channel of a loop comes or its last one goes,
/// shards move: the old owner forgets what they hold, the new one begins with nothing. While a shard has no owner, it
/// keeps nothing, and its blocks are read below.
class cache_core : public std::enable_shared_from_this<cache_core> {
 public:
  /// `flash` may be null.
  cache_core(const options& wanted, std::uint64_t size_bytes, foundation over, std::shared_ptr<flash_tier> flash);
  ~cache_core();
  cache_core(const cache_core&) = delete;
  cache_core& operator=(const cache_core&) = delete;

  /// As configured now; the control path's.
  options wanted() const;
  /// Other values of what any request may find changed: mode, bypass, prefetch, pins and the journal's delay. Any
  /// thread.
  void set_manners(const options& wanted);
  /// Null when there are none. Any thread.
  std::shared_ptr<const pin_set> pins() const;
  std::uint64_t prefetch_bytes() const { return prefetch_bytes_.load(std::memory_order_relaxed); }
  const cache::mode& mode() const { return *mode_.load(std::memory_order_relaxed); }
  /// Whether a stream that is `run` octets long by now passes by.
  bool passes_by(std::uint64_t run) const {
    const std::uint64_t limit = bypass_bytes_.load(std::memory_order_relaxed);
    return limit != 0 && run > limit;
  }
  /// Null when there is none.
  const std::shared_ptr<flash_tier>& flash() const { return flash_; }
  const foundation& over() const { return over_; }
  bool volatile_below() const { return volatile_below_.load(std::memory_order_relaxed); }
  /// What lies below promises less from now on. Any thread.
  void set_volatile_below() noexcept { volatile_below_.store(true); }
  /// Whether blocks are kept, and answered from what is kept.
  bool keeps() const { return keeps_.load(std::memory_order_acquire); }
  /// Any thread. What a core keeps just then it keeps.
  void set_keeps(bool keeps) noexcept { keeps_.store(keeps); }
  /// Any thread. Whatever is kept is void.
  void forget() noexcept;

  // -- any thread -----------------------------------------------------------------------------------------------
  ram_shard& shard_of(const place& p) const { return *shards_[p.shard()]; }
  reactor::loop* owner_of(const place& p) const { return owners_[p.shard()].load(std::memory_order_acquire); }
  /// Blocks that lie whole within the store; the rest of it is never kept.
  std::uint64_t whole_blocks() const { return size_bytes_.load(std::memory_order_acquire) / block_bytes; }
  void set_size(std::uint64_t size_bytes) { size_bytes_.store(size_bytes, std::memory_order_release); }

  /// Sets of all shards, in one row.
  std::size_t set_count() const { return set_count_; }
  /// begin_write() for all blocks of [first, last) that lie in the sets [from, to) of the row; end_write() likewise.
  void begin_write_in_sets(std::size_t from, std::size_t to, block_number first, block_number last) const noexcept;
  void end_write_in_sets(std::size_t from, std::size_t to) const noexcept;

  /// Sends blocks to the owner of their shards, unless too many are on their way; whether it did.
  bool send(std::unique_ptr<batch> blocks, reactor::loop& to);

  std::uint64_t used_blocks() const noexcept;
  std::uint64_t pinned_blocks() const noexcept;
  std::uint64_t overhead_bytes() const noexcept;

  // -- a channel's loop -----------------------------------------------------------------------------------------
  void attach(reactor::loop& loop);
  void detach(reactor::loop& loop);
  /// What this loop was about to write to flash is not found there.
  void forget_on_the_way_to_flash(const reactor::loop& loop) noexcept;
  // -- requests of a channel: the marks and fill versions of blocks [first, last) ----------------------------------
  // What begins while nothing is kept gets no fill versions that hold: writes that this core has no marks of may be
  // under way, and the core may keep again before the request ends.
  void take_fill_versions(block_number first, block_number last,
                          std::vector<std::uint64_t>& fill_versions) const noexcept;
  void begin_blocks(block_number first, block_number last, std::vector<std::uint64_t>* begun) const noexcept;
  /// Makes what begin_blocks() noted into fill versions.
  void end_blocks(block_number first, block_number last, std::vector<std::uint64_t>* begun) const noexcept;

  /// Whether nothing is on its way to flash from this loop.
  bool idle(const reactor::loop& loop);
  /// The owner of the block's shard caches it; as ram_shard::put().
  bool put(const place& p, const batch::item& item, const std::uint8_t* content) noexcept {
    return shards_[p.shard()]->put(item.block, item.fill_version, content, item.how, *frames_[p.shard()],
                                   writers_[p.shard()]);
  }

  /// As ram_shard::lend(), by the owner of the block's shard.
  memory::slice lend(const place& p, slot s, std::uint32_t offset, std::uint32_t length) noexcept {
    return shards_[p.shard()]->lend(s, offset, length, *frames_[p.shard()]);
  }
  /// Memory of a owner that went, and which may be needed by readers for as long as this lives. Any thread.
  void keep_until_the_end(std::unique_ptr<frame_memory> frames);

 private:
  struct member {
    reactor::loop* loop;
    std::unique_ptr<frame_memory> frames;
    unsigned channels = 0;
    std::unique_ptr<flash_writer> writer;
  };
  member* find(const reactor::loop& loop);
  void keep(const batch& blocks, const reactor::loop& loop) noexcept;
  void settle(reactor::loop& here);
  void release(unsigned shard, reactor::loop& from);
  void adopt(unsigned shard, reactor::loop& by);

  const options wanted_;
  std::atomic<const cache::mode*> mode_;
  std::atomic<std::uint64_t> bypass_bytes_;
  std::atomic<std::uint64_t> prefetch_bytes_;
  std::atomic<std::uint64_t> destage_delay_ns_;
  const foundation over_;
  std::atomic<bool> volatile_below_;
  const std::shared_ptr<flash_tier> flash_;
  std::atomic<std::uint64_t> size_bytes_;
  std::atomic<bool> keeps_ = true;
  std::array<std::unique_ptr<ram_shard>, shard_count> shards_;
  std::array<std::atomic<reactor::loop*>, shard_count> owners_{};
  std::array<frame_memory*, shard_count> frames_{};   // the owner's
  std::array<flash_writer*, shard_count> writers_{};  // likewise
  std::size_t set_count_ = 0;
  std::atomic<unsigned> batches_under_way_ = 0;

  mutable std::mutex guard_;  // control paths: channels come and go, figures are read
  std::vector<member> members_;
  std::vector<std::unique_ptr<frame_memory>> gone_frames_;
  std::shared_ptr<const pin_set> pins_;
  std::array<reactor::loop*, shard_count> wanted_owners_{};
};

}  // namespace sluice::cache
