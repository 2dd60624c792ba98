#pragma once
#include <atomic>
#include <utility>

namespace sluice {

/// Where any thread leaves things for one reader, without a lock: a list through their member `next`. It owns nothing.
template <class T>
class inbox {
 public:
  /// Any thread. True when nothing was there: then the reader has to be told.
  bool push(T& one) noexcept {
    T* newest = newest_.load(std::memory_order_relaxed);
    do {
      one.next = newest;
      // It is only ever taken whole, so that nothing can come back to its top unseen. Sequentially consistent, as the
      // taking: who pushes and then looks whether the reader is there, while the reader comes and then takes, misses it
      // in one of the two at most.
    } while (!newest_.compare_exchange_weak(newest, &one, std::memory_order_seq_cst));
    return newest == nullptr;
  }

  /// The reader: all that is there, oldest first, through `next`; null: nothing.
  T* take() noexcept {
    T* newest = newest_.exchange(nullptr, std::memory_order_seq_cst);
    T* oldest = nullptr;
    while (newest) {
      T* const older = std::exchange(newest->next, oldest);
      oldest = std::exchange(newest, older);
    }
    return oldest;
  }

  bool empty() const noexcept { return newest_.load(std::memory_order_acquire) == nullptr; }

 private:
  std::atomic<T*> newest_ = nullptr;
};

}  // namespace sluice
