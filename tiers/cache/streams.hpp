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
        s = {s.begin, offset + length, ++clock_};
        return s.end - s.begin;
      }
      if (s.last < oldest->last) oldest = &s;
    }
    *oldest = {offset, offset + length, ++clock_};
    return length;
  }

 private:
  struct stream {
    std::uint64_t begin = 0, end = 0;
    std::uint64_t last = 0;  // when it was used; 0: never
  };
  std::array<stream, 16> streams_;
  std::uint64_t clock_ = 0;
};

}  // namespace sluice::cache
