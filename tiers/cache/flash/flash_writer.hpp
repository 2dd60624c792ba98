#pragma once
#include <array>
#include <memory>
#include <vector>

#include "tiers/cache/flash/flash_tier.hpp"
#include "tiers/cache/ram/ram_shard.hpp"

namespace sluice::cache {

/// Gathers what leaves the RAM of one loop's shards into segments and writes each in one go. What comes while both of
/// its segments are being written is not kept on flash: the log is never waited for.
class flash_writer final : public eviction_sink {
 public:
  flash_writer(std::shared_ptr<flash_tier> tier, reactor::loop& loop);
  ~flash_writer();

  void evicted(block_number block, std::uint64_t fill_version, const index_set& set,
               const std::uint8_t* content) noexcept override;
  /// Forgets what it has gathered, and what it is writing: nothing of it comes to be found.
  void forget() noexcept;
  bool at_work() const { return segments_[0].in_flight() || segments_[1].in_flight(); }

 private:
  struct free_memory {
    void operator()(std::uint8_t* memory) const noexcept;
  };
  class segment final : public reactor::operation {
   public:
    void on_complete(std::int64_t result) noexcept override { owner->written(*this, result); }
    struct held {
      block_number block;
      std::uint64_t fill_version;
      const index_set* set;
    };
    flash_writer* owner = nullptr;
    std::unique_ptr<std::uint8_t, free_memory> memory;
    std::vector<held> blocks;
    flash::segment_header header;
    std::uint64_t number = 0;
    iovec part{};
  };

  void write(segment& s) noexcept;
  void written(segment& s, std::int64_t result) noexcept;

  std::shared_ptr<flash_tier> tier_;
  reactor::loop& loop_;
  std::array<segment, 2> segments_;
};

}  // namespace sluice::cache
