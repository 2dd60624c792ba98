#include "actors/runtime/note.hpp"

namespace sluice::runtime {

/// Set when the thread's pool has ended: actors that outlive it, in statics, still return their elements.
static thread_local bool pool_has_ended = false;

/// Elements of one thread. Notes never cross cores (pinned<> checks), so the list needs no lock.
struct note_pool {
  note_element* free = nullptr;

  ~note_pool() {
    pool_has_ended = true;
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
  note_element* element = pool_has_ended ? new note_element : pool_of_thread.take();
  std::get<0>(element->data()) = content;
  element->count_ = 1;
  return caf::mailbox_element_ptr(element);
}

void note_element::request_deletion(bool) const noexcept {
  auto* element = const_cast<note_element*>(this);
  element->sender = nullptr;
  element->next = nullptr;
  if (pool_has_ended)
    delete element;
  else
    pool_of_thread.put(element);
}

}  // namespace sluice::runtime
