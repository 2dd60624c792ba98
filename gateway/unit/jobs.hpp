#pragma once
#include <span>

#include "gateway/scsi/parameter_lists.hpp"
#include "gateway/unit/job.hpp"
#include "gateway/unit/shard.hpp"

/// What commands with more than one step are made of.
namespace sluice::unit {

/// The most that a command holds of its data at a time, octets; also the largest buffer.
inline constexpr std::uint64_t window_bytes = memory::pool::largest;

/// `co_await medium(s, c)`: does c.io and gives its status; `aborted` when the task was aborted meanwhile.
struct medium {
  shard& s;
  command& c;
  bool await_ready() noexcept { return s.try_medium(c); }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    c.resume_point = self;
    s.start_medium(c);
  }
  store::status await_resume() const noexcept { return c.is_aborted() ? store::status::aborted : c.medium_status; }
};

/// `co_await buffer_for(s, c, octets)`: a buffer that the initiator pays for, once there is one; empty when the task
/// was aborted or nothing of its nexus has got any for too long.
struct buffer_for {
  shard& s;
  command& c;
  std::uint64_t octets;
  memory::slice at_once = {};
  bool await_ready() noexcept {
    at_once = s.take_buffer(c, octets);
    return !at_once.empty();
  }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    c.resume_point = self;
    s.await_memory(c, octets);
  }
  memory::slice await_resume() noexcept { return std::move(at_once.empty() ? c.buffer : at_once); }
};

/// `co_await flushed(s, c)`: all that was acknowledged before is on the medium; GOOD, or how the command ends instead.
struct flushed {
  shard& s;
  command& c;
  bool await_ready() noexcept {
    s.prepare_flush(c);
    return s.try_medium(c);
  }
  void await_suspend(std::coroutine_handle<> self) noexcept { medium{s, c}.await_suspend(self); }
  scsi::outcome await_resume() const noexcept { return s.flushed(c, medium{s, c}.await_resume()); }
};

/// `co_await data_until(s, c, end)`: true when the first `end` octets of the data-out have arrived; false when the task
/// was aborted or the transfer failed.
struct data_until {
  shard& s;
  command& c;
  std::uint64_t end;
  bool await_ready() const noexcept { return c.task->data_out_end >= end; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    c.resume_point = self;
    c.data_goal = end;
    s.ask_data(c);
  }
  bool await_resume() const noexcept { return !c.is_aborted(); }
};

/// `co_await blocks_locked(s, c, range)`: nobody else comes near these blocks until s.unlock(c); `aborted` when that
/// was not to be had in time, or the task was aborted. An ORDERED task has all blocks for itself anyhow.
struct blocks_locked {
  shard& s;
  command& c;
  scsi::block_range range;
  bool await_ready() const noexcept { return c.range.ordered; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    c.resume_point = self;
    s.lock(c, range);
  }
  store::status await_resume() const noexcept {
    return c.is_aborted() || !c.range_lock_granted ? store::status::aborted : store::status::good;
  }
};

/// `co_await data_in_sent(s, c)`: sends task.data_in on its way and empties it; false as above.
struct data_in_sent {
  shard& s;
  command& c;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    c.resume_point = self;
    s.hand_over(c, port::task_event::put_data);
  }
  bool await_resume() const noexcept {
    if (c.is_aborted()) return false;
    c.task->data_in.clear();
    return true;
  }
};

/// `co_await coordinator_does(s, c, parameters)`: the coordinator does the command; its outcome.
struct coordinator_does {
  shard& s;
  command& c;
  std::vector<std::uint8_t>& parameters;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) {
    c.resume_point = self;
    s.ask_coordinator(c, std::move(parameters));
  }
  scsi::outcome await_resume() const noexcept { return c.coordinator_outcome; }
};

/// Whether decode_block_command() knows it.
bool is_block_command(const scsi::opcode_row& row);
/// What the CDB makes the command move; of a command with a row.
std::uint64_t transfer_bytes(const command& c, std::uint32_t block_size);

/// Sets c.io; `parts` stay in c.parts.
void prepare(command& c, store::verb what, std::uint64_t offset_bytes, std::uint64_t length_bytes);

/// Adds octets [offset, offset + length) of the data-out to c.parts; they have arrived and were not dropped.
void add_data_out(command& c, std::uint64_t offset, std::uint64_t length);
inline void set_data_out(command& c, std::uint64_t offset, std::uint64_t length) {
  c.parts.clear();
  add_data_out(c, offset, length);
}
inline void set_buffer(command& c, const memory::slice& buffer, std::uint64_t octets) {
  c.parts.assign(1, iovec{buffer.data(), static_cast<std::size_t>(octets)});
}
/// Copies octets of the data-out; same conditions.
void copy_data_out(const command& c, std::uint64_t offset, bytes to);
/// Makes c.parts the fabric's own memory for octets [offset, offset + length) of the data-in, and appends the same as
/// slices; false, with nothing done, where the fabric has none for all of them, or has only borrowed it and `counted`
/// is asked for.
bool use_destination(command& c, std::uint64_t offset, std::uint64_t length, bool counted,
                     std::vector<memory::slice>& places);
/// Lets go of what lies before `offset`.
void drop_data_out(port::task& t, std::uint64_t offset);

/// Whether the initiator sends just so many octets, as far as is known.
inline bool offers(const port::task& t, std::uint64_t octets) {
  return t.expected_data_out == octets || t.expected_data_out == port::unknown_length;
}

/// Octets of the data-out that can be had, in whole blocks: an initiator that offers less than the command wants gets
/// so much done and the residual for the rest [SAM-5 5.4.3].
std::uint64_t whole_blocks(const shard& s, std::uint64_t wanted, std::uint64_t offered);

/// Puts parameter data into task.data_in, as much as there is room for.
scsi::outcome answer(shard& s, command& c, std::span<const std::uint8_t> data);

/// What a status of the medium means for the initiator. `r` is the request it ended.
scsi::outcome outcome_of(store::status status, const store::request& r, std::uint32_t block_size);

/// Whether writes of this command must be durable before their status.
bool must_be_durable(const shard& s, const command& c);
/// Whether a write that was begun with write-back has come to its end without it.
bool is_overtaken(const shard& s, const command& c);
/// Whether this command is about what is on the medium, and something newer may be in a volatile cache [SBC-3 4.15].
bool must_read_medium(const shard& s, const command& c);

job read_windows(shard& s, command& c);
job write_windows(shard& s, command& c);
job verify(shard& s, command& c);
job write_and_verify(shard& s, command& c);
job or_write(shard& s, command& c);
job compare_and_write(shard& s, command& c);
job write_same(shard& s, command& c);
job unmap(shard& s, command& c);
job synchronize_cache(shard& s, command& c);
job pre_fetch(shard& s, command& c);
job get_lba_status(shard& s, command& c);
job send_to_coordinator(shard& s, command& c);
job relay_to_owner(shard& s, command& c);

/// Commands that are answered from the snapshot alone.
scsi::outcome from_snapshot(shard& s, command& c);

}  // namespace sluice::unit
