#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "actors/base/routine.hpp"
#include "actors/memory/slab.hpp"
#include "actors/reactor/loop.hpp"
#include "tiers/store/descriptor.hpp"
#include "tiers/store/scatter.hpp"
#include "tiers/store/store.hpp"

/// The I/O engine of the file and block stores: any verb of a store in terms of the loop's operations on a handle.
namespace sluice::store {

class descriptor_channel;

/// One request on its way: cut into pieces, one piece in flight at a time. Reused for request after request.
class descriptor_job final : public reactor::operation {
 public:
  descriptor_job(descriptor_channel& owner, descriptor& medium) : owner_(owner), medium_(medium) {}

  void start(request& r) noexcept;
  void on_complete(std::int64_t result) noexcept override;
  waiting_place& waiting() noexcept { return place_; }

  descriptor_job* next_job_ = nullptr;  // the channel's: free, or waiting for a bounce buffer, or for other syncs

 private:
  static constexpr unsigned parts_limit = 64;

  routine run() noexcept;
  bool moves_data() const noexcept;
  bool is_write() const noexcept;
  void finish() noexcept;
  bool fails(int error_number) noexcept;
  bool is_told_of_others() const noexcept;
  bool needs_sync() const noexcept;
  void begin_sync() noexcept;
  void end_sync() noexcept;

  bool choose_piece() noexcept;
  void start_transfer() noexcept;
  // What a piece came to: false when the request ends with it, and outcome_ is set.
  bool written() noexcept;
  bool transferred() noexcept;
  bool compared() noexcept;
  bool mapped() noexcept;
  bool ends_early(std::uint64_t octets) noexcept;

  // All pieces of a kind; likewise.
  subroutine<bool> compare() noexcept;
  subroutine<bool> repeat() noexcept;
  subroutine<bool> allocate() noexcept;
  subroutine<bool> map() noexcept;
  subroutine<> sync() noexcept;

  bool has_bounce(std::uint64_t octets) noexcept;
  bool aligned(const iovec* parts, unsigned count) const noexcept;
  scatter data() const noexcept;
  std::uint64_t at() const noexcept { return request_->offset_bytes + done_; }
  std::uint64_t left() const noexcept { return request_->length_bytes - done_; }
  std::uint64_t moved() const noexcept { return std::min(static_cast<std::uint64_t>(result_), asked_); }
  std::uint64_t whole_blocks(std::uint64_t octets) const noexcept;

  descriptor_channel& owner_;
  descriptor& medium_;
  waiting_place place_;
  request* request_ = nullptr;
  status outcome_ = status::good;
  bool bounced_ = false;     // the piece in flight goes through bounce_
  std::int64_t result_ = 0;  // of the piece
  std::uint64_t done_ = 0;   // octets of the range that are through
  std::uint64_t asked_ = 0;  // octets of the piece in flight
  const iovec* piece_ = nullptr;
  unsigned piece_parts_ = 0;
  std::uint32_t losses_before_ = 0;  // of the medium, when the request began
  std::uint64_t sync_ = 0;           // its number while it is under way
  memory::slice bounce_;
  std::uint64_t data_begin_ = 0;  // map: find_data's answer
  std::uint64_t data_end_ = 0;
  iovec parts_[parts_limit];
};

/// One core's interface to a descriptor. Jobs are pooled: no allocation once as many were in flight as ever will be.
class descriptor_channel final : public channel {
 public:
  descriptor_channel(descriptor& medium, reactor::loop& loop);
  ~descriptor_channel() override;

  void submit(request& r) noexcept override;

 private:
  friend class descriptor_job;

  bool mapped_already(request& r) const noexcept;
  void finish_later(request& r) noexcept;
  void finish_queued() noexcept;
  bool is_cut_off(const request& r) const noexcept;
  void give_back(descriptor_job& job) noexcept;
  /// Memory for a piece of at most `octets`; empty when there is none.
  memory::slice take_bounce(std::uint64_t octets) noexcept;
  /// Has `job` go on when there may be some.
  void wait_for_bounce(descriptor_job& job) noexcept;
  void drop_bounce(memory::slice& bounce) noexcept;
  /// Has `job` go on when other syncs may have ended.
  void wait_for_syncs(descriptor_job& job) noexcept;
  void settle_waiting() noexcept;
  void settle_in_time() noexcept;

  struct free_memory {
    void operator()(std::uint8_t* memory) const noexcept;
  };

  descriptor& medium_;
  reactor::loop& loop_;
  std::vector<std::unique_ptr<descriptor_job>> jobs_;
  descriptor_job* free_ = nullptr;
  // One bounce buffer of the channel's own: when the core's pool is exhausted, requests still get through, singly.
  std::unique_ptr<std::uint8_t, free_memory> reserve_;
  bool reserve_taken_ = false;
  descriptor_job* waiting_first_ = nullptr;
  descriptor_job* waiting_last_ = nullptr;
  descriptor_job* unsettled_ = nullptr;
  reactor::member_runnable<descriptor_channel, &descriptor_channel::settle_waiting> settle_soon_{*this};
  reactor::member_timer<descriptor_channel, &descriptor_channel::settle_in_time> settle_timer_{*this};
  request_queue finished_;
  reactor::member_runnable<descriptor_channel, &descriptor_channel::finish_queued> finish_queued_{*this};
};

}  // namespace sluice::store
