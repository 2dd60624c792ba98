#include "fabrics/iscsi/receive_buffer.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::iscsi {
namespace {

constexpr std::uint32_t min_room = 2048;  // less would cost a system call for too little

}  // namespace

bool receive_buffer::prepare(std::uint32_t octets) {
  const std::uint32_t unread_bytes = end_ - begin_;
  const std::uint32_t needed = std::max(octets, unread_bytes + min_room);
  const bool other = slab_.size() != wanted_size_ || slab_.payer() != payer_;
  if (other && unread_bytes == 0 && octets <= wanted_size_ && move_to(wanted_size_, octets)) return true;
  if (!slab_.shared() && unread_bytes == 0) begin_ = end_ = 0;
  if (slab_.size() - begin_ >= needed) return true;
  if (!slab_.shared() && slab_.size() >= needed) {
    std::memmove(slab_.data(), slab_.data() + begin_, unread_bytes);
    begin_ = 0;
    end_ = unread_bytes;
    return true;
  }
  return move_to(std::max(needed, wanted_size_), needed) || move_to(std::max(needed, min_size_), needed);
}

bool receive_buffer::move_to(std::uint32_t size, std::uint32_t needed) {
  // More than the next PDU needs is for speed alone. Without the least nothing moves, not even what would give memory
  // back: data that other commands wait for come behind it.
  auto claim = size > needed ? memory::ledger::claim::spare : memory::ledger::claim::ordinary;
  if (size <= small_bytes) claim = memory::ledger::claim::pressing;
  memory::slice fresh = buffers_.take(size, *payer_, claim);
  if (fresh.empty()) return false;
  const std::uint32_t unread_bytes = end_ - begin_;
  if (unread_bytes > 0) std::memcpy(fresh.data(), slab_.data() + begin_, unread_bytes);
  slab_ = std::move(fresh);
  begin_ = 0;
  end_ = unread_bytes;
  return true;
}

void receive_buffer::filled(std::uint32_t octets) {
  end_ += octets;
  SLUICE_CHECK(end_ <= slab_.size());
  if (end_ == slab_.size()) wanted_size_ = max_size_;
}

}  // namespace sluice::iscsi
