#pragma once
#include <sys/uio.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "actors/base/bytes.hpp"

namespace sluice::vhost {

/// A place in memory that lies in pieces, which only moves forward.
class piece_cursor {
 public:
  piece_cursor() = default;
  explicit piece_cursor(const std::vector<iovec>& over) : pieces_(&over) {}

  /// The next piece of at most `most` octets, and moves behind it; empty at the end.
  bytes take(std::uint64_t most) {
    while (index_ < pieces_->size()) {
      const iovec& here = (*pieces_)[index_];
      if (offset_ < here.iov_len) {
        const std::uint64_t octets = std::min<std::uint64_t>(most, here.iov_len - offset_);
        const bytes out(static_cast<std::uint8_t*>(here.iov_base) + offset_, octets);
        offset_ += octets;
        return out;
      }
      ++index_;
      offset_ = 0;
    }
    return {};
  }
  /// Copies from there, as far as there is something; returns octets.
  std::size_t read(bytes to) {
    std::size_t done = 0;
    for (bytes from; done < to.size() && !(from = take(to.size() - done)).empty(); done += from.size())
      std::memcpy(to.data() + done, from.data(), from.size());
    return done;
  }
  void skip(std::uint64_t octets) {
    for (bytes over; octets > 0 && !(over = take(octets)).empty(); octets -= over.size()) {
    }
  }

 private:
  const std::vector<iovec>* pieces_ = nullptr;
  std::size_t index_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace sluice::vhost
