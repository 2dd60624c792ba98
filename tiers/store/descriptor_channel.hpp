#pragma once
#include <cstdint>
#include <memory>
#include <vector>

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
  /// Starts the next piece, or finishes.
  void next() noexcept;
  void on_complete(std::int64_t result) noexcept override;
  /// Ends a request whose sync was good, or waits until it is known that it was.
  void settle() noexcept;

  descriptor_job* next_job_ = nullptr;  // the channel's: free, or waiting for a bounce buffer, or for other syncs

 private:
  static constexpr unsigned parts_limit = 64;

  /// What the pieces are. A request passes through one to three: compare, transfer; allocate, repeat, sync.
  enum class phase : std::uint8_t { read, write, compare, repeat, allocate, map, sync };

  phase first_phase() const noexcept;
  void piece_done(std::uint64_t octets) noexcept;
  void phase_done() noexcept;
  void finish(status outcome) noexcept;
  void fail(int error_number) noexcept;
  bool is_told_of_others() const noexcept;
  bool is_synced_apart() const noexcept;
  void begin_sync() noexcept;
  void end_sync() noexcept;

  void start_transfer() noexcept;
  void start_compare() noexcept;
  void start_repeat() noexcept;
  void start_allocate() noexcept;

  void transferred(std::uint64_t octets) noexcept;
  void compared(std::uint64_t octets) noexcept;
  void allocated(std::int64_t result) noexcept;
  void mapped(std::int64_t result) noexcept;
  void synced(std::int64_t result) noexcept;

  bool ends_early(std::uint64_t octets) noexcept;
  bool need_bounce(std::uint64_t octets) noexcept;
  bool aligned(const iovec* parts, unsigned count) const noexcept;
  scatter data() const noexcept;
  std::uint64_t at() const noexcept { return request_->offset_bytes + done_; }
  std::uint64_t left() const noexcept { return request_->length_bytes - done_; }
  std::uint64_t whole_blocks(std::uint64_t octets) const noexcept;

  descriptor_channel& owner_;
  descriptor& medium_;
  request* request_ = nullptr;
  phase phase_ = phase::read;
  std::uint64_t done_ = 0;   // octets of the range that this phase is through with
  std::uint64_t asked_ = 0;  // octets of the piece in flight
  bool bounced_ = false;     // the piece in flight goes through bounce_
  memory::slice bounce_;
  const std::uint8_t* repeated_ = nullptr;  // repeat: what is written over and over
  std::uint64_t repeated_length_ = 0;
  std::uint32_t losses_before_ = 0;   // of the medium, when the request began
  std::uint64_t sync_ = 0;            // its number while it is under way
  std::uint64_t syncs_before_ = 0;    // those that its outcome waits for, up to this number
  std::uint64_t written_before_ = 0;  // octets that the medium had taken when the flush began
  std::uint64_t data_begin_ = 0;      // map: find_data's answer
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
  /// Memory for a piece of at most `octets`; empty when `job` has to wait, and next() is called when there is some.
  memory::slice take_bounce(descriptor_job& job, std::uint64_t octets) noexcept;
  void drop_bounce(memory::slice& bounce) noexcept;
  /// Has `job` settle when other syncs have ended.
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
