#include "fabrics/iscsi/send_queue.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::iscsi {

std::uint8_t* send_queue::append(std::uint32_t octets) {
  SLUICE_CHECK(octets <= arena_octets);
  if (arena_.size() - arena_used_ < octets) {
    arena_ = buffers_.take(arena_octets, *payer_, memory::ledger::claim::pressing);
    keeps_arena_ = has_session_;
    arena_used_ = 0;
    tail_in_arena_ = false;
  }
  if (arena_.empty()) {
    starved_ = true;
    if (!scrap_) scrap_ = std::make_unique<std::uint8_t[]>(arena_octets);
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
  octets_ += octets;
  return room;
}

void send_queue::append(memory::slice part) {
  if (part.empty()) return;
  octets_ += part.size();
  parts_.push_back(std::move(part));
  tail_in_arena_ = false;
}

unsigned send_queue::gather(iovec* parts) const {
  unsigned count = 0;
  for (std::size_t i = head_; i < parts_.size() && count < max_parts; ++i) parts[count++] = parts_[i].iov();
  return count;
}

void send_queue::drop(std::uint64_t sent) {
  octets_ -= sent;
  while (sent > 0) {
    memory::slice& front = parts_[head_];
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
    head_ = 0;
    tail_in_arena_ = false;
    if (!keeps_arena_) arena_ = {};
    if (!arena_.shared()) arena_used_ = 0;
  } else if (head_ >= max_parts) {
    parts_.erase(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

bool send_queue::own_borrowed() {
  for (std::size_t i = head_; i < parts_.size(); ++i) {
    if (!parts_[i].borrowed()) continue;
    // A borrowed part may pass the largest block only if a Data-In PDU does, and those end at 16 MiB: copy in blocks.
    const memory::slice whole = parts_[i];
    std::vector<memory::slice> copies;
    for (std::uint32_t done = 0; done < whole.size();) {
      const std::uint32_t length = std::min(whole.size() - done, memory::pool::largest);
      memory::slice copy = buffers_.take(length, *payer_, memory::ledger::claim::pressing);
      if (copy.empty()) return false;
      std::memcpy(copy.data(), whole.data() + done, length);
      copies.push_back(std::move(copy));
      done += length;
    }
    parts_[i] = copies.front();
    parts_.insert(parts_.begin() + static_cast<std::ptrdiff_t>(i) + 1, copies.begin() + 1, copies.end());
    i += copies.size() - 1;
  }
  return true;
}

send_queue::progress send_queue::flush(reactor::loop& loop, reactor::handle to) {
  if (starved_) return progress::broken;
  iovec parts[max_parts];
  while (octets_ > 0) {
    const std::int64_t sent = loop.send_now(to, parts, gather(parts));
    if (sent == -EAGAIN) return own_borrowed() ? progress::blocked : progress::broken;
    if (sent <= 0) return progress::broken;
    drop(static_cast<std::uint64_t>(sent));
  }
  return progress::drained;
}

void send_queue::clear() {
  parts_.clear();
  head_ = 0;
  octets_ = 0;
  arena_ = {};
  arena_used_ = 0;
  tail_in_arena_ = starved_ = false;
}

}  // namespace sluice::iscsi
