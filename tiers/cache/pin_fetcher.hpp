#pragma once
#include <optional>
#include <vector>

#include "tiers/cache/generation_ref.hpp"

namespace sluice::cache {

class cache_channel;

/// Brings pinned blocks into RAM on the loop that owns them: an extent at a time, and not too fast for others. Looks
/// again now and then, for blocks that got lost.
class pin_fetcher final : public store::request {
 public:
  explicit pin_fetcher(cache_channel& owner) : owner_(owner) {}
  ~pin_fetcher();

  /// There may be pins, or other ones.
  void look() noexcept;
  /// Begins nothing any more, until resume().
  void pause() noexcept { paused_ = true; }
  void resume() noexcept {
    if (!paused_) return;
    paused_ = false;
    look();
  }
  bool at_work() const { return tiers_ != nullptr; }
  void done(store::status outcome) noexcept override;

 private:
  void turn() noexcept;
  std::optional<pin_set::range> next_extent(const pin_set& pins) noexcept;
  pin_set::range missing_of(const pin_set::range& extent) const noexcept;
  void fetch(const pin_set::range& blocks) noexcept;
  void again_in(std::uint64_t delay_ns) noexcept;

  cache_channel& owner_;
  bool paused_ = false;
  block_number next_ = 0;            // where the walk over the ranges goes on
  generation_ref* tiers_ = nullptr;  // while a fetch is under way
  block_number first_ = 0;           // of the fetch
  memory::slice buffer_;
  iovec part_{};
  std::vector<std::uint64_t> fill_versions_;
  reactor::member_timer<pin_fetcher, &pin_fetcher::turn> timer_{*this};
};

}  // namespace sluice::cache
