#pragma once
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "actors/base/bytes.hpp"
#include "actors/base/check.hpp"
#include "tiers/store/store.hpp"

namespace sluice::store {

/// Walks the octets of a scatter list from front to back. The list stays the caller's.
class scatter {
 public:
  scatter() = default;
  scatter(const iovec* parts, unsigned count) : part_(parts), end_(parts + count) {}

  /// The next contiguous piece of at most `limit` octets; empty at the end of the list.
  bytes next(std::uint64_t limit) {
    while (part_ != end_ && used_ == part_->iov_len) advance();
    if (part_ == end_) return {};
    const std::size_t length = std::min<std::uint64_t>(limit, part_->iov_len - used_);
    bytes piece{static_cast<std::uint8_t*>(part_->iov_base) + used_, length};
    used_ += length;
    return piece;
  }

  void skip(std::uint64_t length) {
    for_each(length, [](bytes) {});
  }
  /// The list's next `length` octets -> `to`.
  void gather(std::uint8_t* to, std::uint64_t length) {
    for_each(length, [&to](bytes piece) {
      std::memcpy(to, piece.data(), piece.size());
      to += piece.size();
    });
  }
  /// `from` -> the list's next `length` octets.
  void fill(const std::uint8_t* from, std::uint64_t length) {
    for_each(length, [&from](bytes piece) {
      std::memcpy(piece.data(), from, piece.size());
      from += piece.size();
    });
  }
  void zero(std::uint64_t length) {
    for_each(length, [](bytes piece) { std::memset(piece.data(), 0, piece.size()); });
  }
  /// How many of the list's next `length` octets equal those at `with`, counted up to the first difference.
  std::uint64_t match(const std::uint8_t* with, std::uint64_t length) {
    std::uint64_t equal = 0;
    while (equal < length) {
      const bytes piece = next(length - equal);
      SLUICE_CHECK(!piece.empty());
      if (std::memcmp(piece.data(), with + equal, piece.size()) != 0) {
        const auto differs = std::mismatch(piece.begin(), piece.end(), with + equal);
        return equal + static_cast<std::uint64_t>(differs.first - piece.begin());
      }
      equal += piece.size();
    }
    return equal;
  }

 private:
  void advance() {
    ++part_;
    used_ = 0;
  }
  /// The list must hold `length` octets more: the submitter of a request owes it that.
  template <class Visit>
  void for_each(std::uint64_t length, Visit visit) {
    while (length != 0) {
      const bytes piece = next(length);
      SLUICE_CHECK(!piece.empty());
      visit(piece);
      length -= piece.size();
    }
  }

  const iovec* part_ = nullptr;
  const iovec* end_ = nullptr;
  std::size_t used_ = 0;
};

inline std::uint64_t total_bytes(const iovec* parts, unsigned count) {
  std::uint64_t sum = 0;
  for (unsigned i = 0; i < count; ++i) sum += parts[i].iov_len;
  return sum;
}

/// Adds a range to the answer of a map request, which starts where the last one ended: merged with it when both are of
/// one kind.
inline void append_extent(std::vector<extent>& extents, const extent& next) {
  if (next.length_bytes == 0) return;
  if (!extents.empty() && extents.back().mapped == next.mapped) {
    extents.back().length_bytes += next.length_bytes;
  } else {
    extents.push_back(next);
  }
}

/// Requests in line, first in first out, linked through their scratch.
class request_queue {
 public:
  bool empty() const { return head_ == nullptr; }
  void push(request& r) {
    r.scratch.next = nullptr;
    (head_ ? tail_->scratch.next : head_) = &r;
    tail_ = &r;
  }
  request& pop() {
    request& first = *head_;
    head_ = first.scratch.next;
    return first;
  }

 private:
  request* head_ = nullptr;
  request* tail_ = nullptr;
};

}  // namespace sluice::store
