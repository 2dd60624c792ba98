#include "fabrics/iscsi/receive_buffer.hpp"

#include <algorithm>
#include <cstring>

namespace sluice::iscsi {
namespace {

constexpr std::uint32_t least_room = 2048;  // less would cost a system call for too little

}  // namespace

bool receive_buffer::prepare(std::uint32_t octets) {
  const std::uint32_t unread_octets = end_ - begin_;
  const std::uint32_t needed = std::max(octets, unread_octets + least_room);
  const bool grow = slab_.size() < wanted_size_ && unread_octets == 0;
  if (grow && move_to(wanted_size_)) return true;
  if (!slab_.shared() && unread_octets == 0) begin_ = end_ = 0;
  if (slab_.size() - begin_ >= needed) return true;
  if (!slab_.shared() && slab_.size() >= needed) {
    std::memmove(slab_.data(), slab_.data() + begin_, unread_octets);
    begin_ = 0;
    end_ = unread_octets;
    return true;
  }
  return move_to(std::max(needed, wanted_size_)) || move_to(std::max(needed, small_octets));
}

bool receive_buffer::move_to(std::uint32_t size) {
  memory::slice fresh = buffers_.take(size);
  if (fresh.empty()) return false;
  const std::uint32_t unread_octets = end_ - begin_;
  if (unread_octets > 0) std::memcpy(fresh.data(), slab_.data() + begin_, unread_octets);
  slab_ = std::move(fresh);
  begin_ = 0;
  end_ = unread_octets;
  return true;
}

void receive_buffer::filled(std::uint32_t octets) {
  end_ += octets;
  SLUICE_CHECK(end_ <= slab_.size());
  if (end_ == slab_.size()) wanted_size_ = large_octets;
}

}  // namespace sluice::iscsi
