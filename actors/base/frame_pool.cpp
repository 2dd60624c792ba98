#include "actors/base/frame_pool.hpp"

#include <new>

namespace sluice {
namespace {

constexpr std::size_t class_bytes = 256;
constexpr std::size_t class_count = 16;  // frames up to 4 KiB; none of ours is larger

struct free_frame {
  free_frame* next;
};
struct free_frames {
  free_frame* heads[class_count] = {};
  ~free_frames() {
    for (free_frame* head : heads) {
      while (head) {
        free_frame* next = head->next;
        ::operator delete(head);
        head = next;
      }
    }
  }
};
thread_local free_frames pool;

std::size_t class_of(std::size_t octets) {
  return (octets - 1) / class_bytes;
}

}  // namespace

void* frame_pool::take(std::size_t octets) {
  const std::size_t index = class_of(octets);
  if (index >= class_count) return ::operator new(octets);
  free_frame*& head = pool.heads[index];
  if (!head) return ::operator new((index + 1) * class_bytes);
  void* frame = head;
  head = head->next;
  return frame;
}

void frame_pool::put_back(void* frame, std::size_t octets) noexcept {
  const std::size_t index = class_of(octets);
  if (index >= class_count) return ::operator delete(frame);
  auto* returned = static_cast<free_frame*>(frame);
  returned->next = pool.heads[index];
  pool.heads[index] = returned;
}

}  // namespace sluice
