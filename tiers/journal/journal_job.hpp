#pragma once
#include <cstdint>

#include "actors/base/routine.hpp"
#include "tiers/journal/journal_core.hpp"
#include "tiers/journal/range_locks.hpp"
#include "tiers/store/scatter.hpp"
#include "tiers/store/store.hpp"

namespace sluice::journal {

class journal_channel;
class journal_owner;

/// A request that the owner does for a channel: all but reads. It goes there, has its blocks to itself until it is
/// answered, and comes back. As a request of its own it reads what it needs of blocks that it changes in part, or
/// passes to the store below. Reused.
class journal_job final : public range_locks::holder, public store::request {
 public:
  explicit journal_job(journal_channel& from) : from_(from) {}

  // -- the channel ---------------------------------------------------------------------------------------------------
  void start(store::request& r) noexcept;
  /// Answers what was asked.
  void answer() noexcept;
  void fail(store::status outcome) noexcept { outcome_ = outcome; }
  journal_job* next = nullptr;  // of whoever has it

  // -- the owner ------------------------------------------------------------------------------------------------------
  /// The owner has it from now on.
  void arrive(journal_owner& at) noexcept;
  void granted() noexcept override;
  void done(store::status outcome) noexcept override;

  store::request& asked() const noexcept { return *asked_; }
  journal_channel& from() const noexcept { return from_; }
  bool changes() const noexcept { return store::changes_medium(asked_->what); }
  /// Whether the journal takes it: else it passes to the store below when all that was written before it is there.
  bool is_journaled() const noexcept;
  /// Reads what must be known before its blocks can be written; then ready() of the owner comes, or refused().
  routine prepare() noexcept;
  waiting_place& waiting() noexcept { return place_; }
  /// Its blocks, one after the other, for a record.
  bool has_more() const noexcept { return next_block_ < last; }
  struct block {
    block_number number;
    kind what;
  };
  block peek() const noexcept;
  /// The block that peek() told of; with data, its content is put there.
  void take(std::uint8_t* to) noexcept;
  /// Begins anew: nothing of it went to flash.
  void rewind() noexcept;
  /// Makes `this` the request below. `durable`: as FUA.
  void ask_below(bool durable) noexcept;
  void set_outcome(store::status outcome) noexcept { outcome_ = outcome; }
  store::status outcome() const noexcept { return outcome_; }

  std::uint32_t records_left = 0;  // that hold blocks of it and are not durable
  bool compared = false;
  std::uint64_t arrived_ns = 0;
  std::uint64_t barrier = 0;  // passing: the record that must be below before

 private:
  bool covers_in_part(block_number number) const noexcept;
  /// As prepare() found it.
  bool is_partial(block_number number) const noexcept;
  /// `co_await`: so many octets of the store; how that went is in below_said_.
  auto read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) noexcept;
  subroutine<bool> compare() noexcept;
  subroutine<bool> read_edge(block_number number, std::uint8_t* to) noexcept;
  store::scatter data() const noexcept;
  void put_bytes(std::uint8_t* to, std::uint64_t length) noexcept;

  journal_channel& from_;
  journal_owner* loop_ = nullptr;
  store::request* asked_ = nullptr;
  store::status outcome_ = store::status::good;
  store::status below_said_ = store::status::good;
  waiting_place place_;
  bool passes_ = false;  // to the store below, as it is
  bool first_is_partial_ = false, last_is_partial_ = false;
  block_number next_block_ = 0;
  store::scatter source_;
  std::uint64_t pattern_at_ = 0;
  aligned_memory memory_;  // the first and the last block, as they were; or all that is compared with
  iovec part_{};
};

/// Jobs in line.
class job_queue {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  journal_job& front() const noexcept { return *first_; }
  void push(journal_job& job) noexcept {
    job.next = nullptr;
    (first_ ? last_->next : first_) = &job;
    last_ = &job;
  }
  journal_job& pop() noexcept {
    journal_job& job = *first_;
    first_ = job.next;
    return job;
  }

 private:
  journal_job* first_ = nullptr;
  journal_job* last_ = nullptr;
};

}  // namespace sluice::journal
