#include "actors/runtime/light_message.hpp"

namespace sluice::runtime {

/// Set when the thread's pool has ended: actors that outlive it, in statics, still return their elements.
static thread_local bool pool_has_ended = false;

/// Elements of one thread. Notes never cross cores (pinned<> checks), so the list needs no lock.
struct message_pool {
  message_element* free = nullptr;

  ~message_pool() {
    pool_has_ended = true;
    while (free) delete std::exchange(free, free->next_free_);
  }
  message_element* take() {
    if (!free) return new message_element;
    return std::exchange(free, free->next_free_);
  }
  void put(message_element* element) {
    element->next_free_ = free;
    free = element;
  }
};

static thread_local message_pool pool_of_thread;

caf::mailbox_element_ptr message_element::make(light_message content) {
  message_element* element = pool_has_ended ? new message_element : pool_of_thread.take();
  std::get<0>(element->data()) = content;
  element->count_ = 1;
  return caf::mailbox_element_ptr(element);
}

void message_element::request_deletion(bool) const noexcept {
  auto* element = const_cast<message_element*>(this);
  element->sender = nullptr;
  element->next = nullptr;
  if (pool_has_ended)
    delete element;
  else
    pool_of_thread.put(element);
}

}  // namespace sluice::runtime
