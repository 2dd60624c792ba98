#pragma once
#include <memory>
#include <vector>

#include "actors/base/routine.hpp"
#include "tiers/cache/flash/flash_tier.hpp"
#include "tiers/store/store.hpp"

namespace sluice::cache {

/// Finds out what lies on flash, on one loop: superblock, region table, then the header of each segment. A flash that
/// was not written for this store in this layout, or not told of all writes to it since, is formatted. Ends in
/// flash_tier::recovered() or fail().
class flash_recovery final : public store::request {
 public:
  /// `below` makes durable what an earlier process left in the store's cache; it outlives the recovery. What that
  /// process left in caches of the flash is made durable as well: else the power might bring back what lay there
  /// before, which nobody has seen.
  flash_recovery(std::shared_ptr<flash_tier> tier, reactor::loop& loop, store::channel& below,
                 std::uint64_t store_blocks);
  ~flash_recovery();
  /// Goes at its end, or when a crash of the (simulated) machine made the loop forget it: then somebody else begins
  /// anew.
  routine start() noexcept;
  bool at_work() const { return at_work_; }

  void done(store::status outcome) noexcept override;
  waiting_place& waiting() noexcept { return place_; }

 private:
  static constexpr unsigned depth = 32;
  class header_read final : public reactor::operation {
   public:
    void on_complete(std::int64_t result) noexcept override { owner->header_arrived(*this, result); }
    flash_recovery* owner = nullptr;
    std::uint64_t segment = 0;
    iovec part{};
  };
  struct free_memory {
    void operator()(std::uint8_t* memory) const noexcept;
  };

  subroutine<bool> find_what_is_there() noexcept;
  subroutine<bool> format() noexcept;
  /// `co_await`: one operation; its result is in result_.
  auto read(std::uint64_t offset, std::uint64_t length) noexcept;
  auto write(std::uint64_t offset, std::uint64_t length) noexcept;
  bool was_whole() const noexcept { return result_ == static_cast<std::int64_t>(part_.iov_len); }
  void completed(std::int64_t result) noexcept;
  bool take_superblock() noexcept;
  void take_table() noexcept;
  void read_headers() noexcept;
  bool next_header(header_read& into) noexcept;
  void header_arrived(header_read& one, std::int64_t result) noexcept;
  void take_header(std::uint64_t segment, const_bytes from) noexcept;
  bool take_headers() noexcept;
  void end(const char* why_failed) noexcept;

  std::shared_ptr<flash_tier> tier_;
  reactor::loop& loop_;
  store::channel& below_;
  const std::uint64_t store_blocks_;
  bool at_work_ = false;
  waiting_place place_;
  store::status below_said_ = store::status::good;
  std::int64_t result_ = 0;
  iovec part_{};
  reactor::member_operation<flash_recovery, &flash_recovery::completed> single_{*this};
  std::unique_ptr<std::uint8_t, free_memory> memory_;
  std::vector<std::unique_ptr<header_read>> headers_;
  std::uint64_t next_segment_ = 0;
  unsigned under_way_ = 0;  // of headers_
  std::uint64_t newest_sequence_ = 0;
  std::uint64_t newest_segment_ = 0;
  std::vector<std::uint64_t> torn_pages_;
  std::uint64_t errors_ = 0;
  bool suspicious_ = false;      // a header may hold what was not read
  bool is_missing_one_ = false;  // a segment has no header
};

}  // namespace sluice::cache
