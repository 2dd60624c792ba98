#pragma once
#include <mutex>
#include <utility>
#include <vector>

#include "tiers/store/store.hpp"

namespace sluice::store {

/// Who wants to know when a store's size changes. Control path; any thread.
class resize_listeners {
 public:
  void add(resized callback) {
    const std::lock_guard lock(guard_);
    listeners_.push_back(std::move(callback));
  }
  void tell() {
    const std::lock_guard lock(guard_);
    for (const resized& listener : listeners_) listener();
  }

 private:
  std::mutex guard_;
  std::vector<resized> listeners_;
};

}  // namespace sluice::store
