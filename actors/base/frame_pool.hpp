#pragma once
#include <cstddef>

namespace sluice {

/// Memory of coroutine frames, kept per thread and used again, so that a warm core allocates nothing. A frame may end
/// on another thread than it began on; its memory stays there.
class frame_pool {
 public:
  static void* take(std::size_t octets);
  static void put_back(void* frame, std::size_t octets) noexcept;
};

/// What the promise of a coroutine on the data path derives from.
struct pooled_frame {
  static void* operator new(std::size_t octets) { return frame_pool::take(octets); }
  static void operator delete(void* frame, std::size_t octets) noexcept { frame_pool::put_back(frame, octets); }
};

}  // namespace sluice
