#pragma once
#include <algorithm>
#include <cstdint>

#include "actors/memory/slab.hpp"

namespace sluice::iscsi {

/// The octets of a connection that have been received and not yet taken, in one slab. Tasks may hold slices of it; then
/// the connection moves on to another slab, and the old one goes back to the pool with its last slice.
class receive_buffer {
 public:
  /// Slabs of at most small_bytes, the first one of first_bytes, until pay_from().
  receive_buffer(memory::pool& buffers, memory::account& strangers) : buffers_(buffers), payer_(&strangers) {}
  /// The connection has a session: its share pays from the next slab on, and it has slabs of a session's size.
  void pay_from(memory::account& share) {
    payer_ = &share;
    wanted_size_ = min_size_ = small_bytes;
    max_size_ = large_bytes;
  }
  /// Gives the slab back, with what is unread.
  void clear() {
    slab_ = {};
    begin_ = end_ = 0;
  }
  std::uint32_t held() const { return slab_.size(); }
  /// The peer has been silent: the next slab is a small one.
  void rest() { wanted_size_ = min_size_; }

  const_bytes unread() const { return {slab_.data() + begin_, end_ - begin_}; }
  /// A counted slice of unread().
  memory::slice share(std::uint32_t offset, std::uint32_t octets) const { return slab_.sub(begin_ + offset, octets); }
  void consume(std::uint32_t octets) {
    SLUICE_CHECK(octets <= end_ - begin_);
    begin_ += octets;
  }

  /// Makes unread() able to grow to `octets` in one piece, and room() not empty. False when the pool is exhausted.
  bool prepare(std::uint32_t octets);
  /// Where the next octets go, at most `most`.
  bytes room(std::uint32_t most) const { return {slab_.data() + end_, std::min(most, slab_.size() - end_)}; }
  /// `octets` of room() were filled. When all of the room was, the next slab is a large one.
  void filled(std::uint32_t octets);

  static constexpr std::uint32_t first_bytes = 4 * 1024, small_bytes = 16 * 1024, large_bytes = 256 * 1024;

 private:
  bool move_to(std::uint32_t size, std::uint32_t needed);
  memory::pool& buffers_;
  memory::account* payer_;
  memory::slice slab_;
  std::uint32_t begin_ = 0, end_ = 0;
  std::uint32_t wanted_size_ = first_bytes, min_size_ = first_bytes, max_size_ = small_bytes;
};

}  // namespace sluice::iscsi
