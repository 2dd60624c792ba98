#pragma once
#include <array>
#include <cstdint>

namespace sluice::cache {

/// Tells reads that go on where another ended. Follows the sixteen streams used last.
class stream_detector {
 public:
  /// How many octets lie, in one go, from where the stream began up to the end of this read.
  std::uint64_t observe(std::uint64_t offset, std::uint64_t length) noexcept {
    stream* oldest = &streams_[0];
    for (stream& s : streams_) {
      if (s.last != 0 && s.end == offset) {
        s = {s.begin, offset + length, ++clock_, s.requests + 1};
        row_ = s.requests;
        return s.end - s.begin;
      }
      if (s.last < oldest->last) oldest = &s;
    }
    *oldest = {offset, offset + length, ++clock_, 1};
    row_ = 1;
    return length;
  }
  /// How many reads the stream has had that was observed last.
  std::uint64_t row() const noexcept { return row_; }

 private:
  struct stream {
    std::uint64_t begin = 0, end = 0;
    std::uint64_t last = 0;  // when it was used; 0: never
    std::uint64_t requests = 0;
  };
  std::array<stream, 16> streams_;
  std::uint64_t clock_ = 0;
  std::uint64_t row_ = 0;
};

}  // namespace sluice::cache
