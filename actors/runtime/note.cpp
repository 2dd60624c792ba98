#include "actors/runtime/note.hpp"

namespace sluice::runtime {

/// Elements of one thread. Notes never cross cores (pinned<> checks), so the list needs no lock.
struct note_pool {
  note_element* free = nullptr;

  ~note_pool() {
    while (free) delete std::exchange(free, free->next_free_);
  }
  note_element* take() {
    if (!free) return new note_element;
    return std::exchange(free, free->next_free_);
  }
  void put(note_element* element) {
    element->next_free_ = free;
    free = element;
  }
};

static thread_local note_pool pool_of_thread;

caf::mailbox_element_ptr note_element::make(note content) {
  note_element* element = pool_of_thread.take();
  std::get<0>(element->data()) = content;
  return caf::mailbox_element_ptr(element);
}

void note_element::request_deletion(bool) const noexcept {
  auto* element = const_cast<note_element*>(this);
  element->sender = nullptr;
  element->next = nullptr;
  pool_of_thread.put(element);
}

}  // namespace sluice::runtime
