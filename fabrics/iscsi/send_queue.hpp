#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "actors/memory/slab.hpp"
#include "actors/reactor/loop.hpp"

namespace sluice::iscsi {

/// What a connection has to say, in order: headers and small data in an arena, large data as slices. Leaves in as few
/// system calls as the iovec limit allows.
class send_queue {
 public:
  send_queue(memory::pool& buffers, memory::account& strangers) : buffers_(buffers), payer_(&strangers) {}
  ~send_queue() { give_back_payment(); }
  send_queue(const send_queue&) = delete;
  send_queue& operator=(const send_queue&) = delete;
  /// The connection has a session: its share pays from now on, and an arena that it pays for stays when all has been
  /// sent. That of the login goes.
  void pay_from(memory::account& share) {
    payer_ = &share;
    has_session_ = true;
  }

  /// Room for `octets` (at most arena_bytes), to be filled before flush(). Out of buffers the room is a scrap that will
  /// never be sent, and flush() answers broken.
  std::uint8_t* append(std::uint32_t octets);
  void append(memory::slice part);
  /// What has been paid for copies of the borrowed memory that is appended in this turn.
  void pay_copies(memory::charge paid) { paid_ += paid.spend(); }

  enum class progress : std::uint8_t { drained, blocked, broken };
  /// Sends what the peer takes now. What stays is ours alone, see own().
  progress flush(reactor::loop& loop, reactor::handle to);
  /// Copies memory that is borrowed from a store, since a later write would otherwise tear a block that is half on its
  /// way. False, and the session must end, when there is no memory for that.
  bool own();
  void clear();

  bool empty() const { return bytes_ == 0 && !starved_; }
  std::uint64_t octets() const { return bytes_; }

  static constexpr std::uint32_t arena_bytes = 16384;
  static constexpr unsigned max_parts = 1024;  // IOV_MAX

 private:
  unsigned gather(iovec* parts) const;
  void drop(std::uint64_t sent);
  memory::slice take_room(std::uint64_t octets);
  void give_back_payment();

  memory::pool& buffers_;
  memory::account* payer_;
  bool has_session_ = false, keeps_arena_ = false;
  memory::slice arena_;
  std::uint32_t arena_used_ = 0;
  std::vector<memory::slice> parts_;
  std::size_t head_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t borrowed_ = 0;  // of bytes_
  std::size_t owned_ = 0;       // no part before this one is borrowed
  std::uint64_t paid_ = 0;      // octets, by payer_, for copies of borrowed parts; nothing between turns
  bool tail_in_arena_ = false;
  bool starved_ = false;
  std::unique_ptr<std::uint8_t[]> scrap_;
};

}  // namespace sluice::iscsi
