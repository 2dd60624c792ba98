#include "fabrics/iscsi/send_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::iscsi {

std::uint8_t* send_queue::append(std::uint32_t octets) {
  SLUICE_CHECK(octets <= arena_bytes);
  if (arena_.size() - arena_used_ < octets) {
    arena_ = buffers_.take(arena_bytes, *payer_, memory::ledger::claim::pressing);
    keeps_arena_ = has_session_;
    arena_used_ = 0;
    tail_in_arena_ = false;
  }
  if (arena_.empty()) {
    starved_ = true;
    if (!scrap_) scrap_ = std::make_unique<std::uint8_t[]>(arena_bytes);
    return scrap_.get();
  }
  if (tail_in_arena_ && parts_.size() > head_) {  // answers that follow each other are one part
    const std::uint32_t begin = static_cast<std::uint32_t>(parts_.back().data() - arena_.data());
    parts_.back() = arena_.sub(begin, arena_used_ - begin + octets);
  } else {
    parts_.push_back(arena_.sub(arena_used_, octets));
  }
  tail_in_arena_ = true;
  std::uint8_t* room = arena_.data() + arena_used_;
  arena_used_ += octets;
  bytes_ += octets;
  return room;
}

void send_queue::append(memory::slice part) {
  if (part.empty()) return;
  bytes_ += part.size();
  if (part.borrowed()) borrowed_ += part.size();
  parts_.push_back(std::move(part));
  tail_in_arena_ = false;
}

unsigned send_queue::gather(iovec* parts) const {
  unsigned count = 0;
  for (std::size_t i = head_; i < parts_.size() && count < max_parts; ++i) parts[count++] = parts_[i].iov();
  return count;
}

void send_queue::drop(std::uint64_t sent) {
  bytes_ -= sent;
  while (sent > 0) {
    memory::slice& front = parts_[head_];
    if (front.borrowed()) borrowed_ -= std::min<std::uint64_t>(sent, front.size());
    if (sent < front.size()) {
      const auto gone = static_cast<std::uint32_t>(sent);
      front = front.sub(gone, front.size() - gone);
      break;
    }
    sent -= front.size();
    front = {};
    ++head_;
  }
  if (head_ == parts_.size()) {
    parts_.clear();
    head_ = owned_ = 0;
    tail_in_arena_ = false;
    if (!keeps_arena_) arena_ = {};
    if (!arena_.shared()) arena_used_ = 0;
  } else if (head_ >= max_parts) {
    parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(head_));
    owned_ -= std::min(owned_, head_);
    head_ = 0;
  }
}

bool send_queue::own() {
  give_back_payment();  // for what is taken here
  memory::slice room;
  std::uint32_t used = 0;
  for (std::size_t i = std::max(head_, owned_); borrowed_ > 0; ++i) {
    if (!parts_[i].borrowed()) continue;
    if (used == room.size()) {
      room = take_room(borrowed_);
      used = 0;
      if (room.empty()) return false;
    }
    const std::uint32_t octets = std::min(parts_[i].size(), room.size() - used);
    std::memcpy(room.data() + used, parts_[i].data(), octets);
    const memory::slice rest = parts_[i].sub(octets, parts_[i].size() - octets);
    parts_[i] = room.sub(used, octets);
    if (!rest.empty()) parts_.insert(parts_.begin() + static_cast<std::ptrdiff_t>(i) + 1, rest);
    used += octets;
    borrowed_ -= octets;
  }
  owned_ = parts_.size();
  return true;
}

void send_queue::give_back_payment() {
  if (paid_ > 0) buffers_.accounts().give(*payer_, std::exchange(paid_, 0));
}

/// A block no larger than what is left to copy, as far as there are such: no more than was paid for, but for the last.
memory::slice send_queue::take_room(std::uint64_t octets) {
  constexpr std::uint32_t smallest = memory::pool::rounded(1);
  for (std::uint32_t size = memory::pool::largest;; size /= 4) {
    if (size > octets && size > smallest) continue;
    memory::slice room = buffers_.take(size, *payer_, memory::ledger::claim::pressing);
    if (!room.empty() || size == smallest) return room;
  }
}

send_queue::progress send_queue::flush(reactor::loop& loop, reactor::handle to) {
  if (starved_) return progress::broken;
  iovec parts[max_parts];
  while (bytes_ > 0) {
    const std::int64_t sent = loop.send_now(to, parts, gather(parts));
    if (sent == -EAGAIN) return own() ? progress::blocked : progress::broken;
    if (sent <= 0) return progress::broken;
    drop(static_cast<std::uint64_t>(sent));
  }
  give_back_payment();
  return progress::drained;
}

void send_queue::clear() {
  parts_.clear();
  give_back_payment();
  head_ = owned_ = 0;
  bytes_ = borrowed_ = 0;
  arena_ = {};
  arena_used_ = 0;
  tail_in_arena_ = starved_ = false;
}

}  // namespace sluice::iscsi
