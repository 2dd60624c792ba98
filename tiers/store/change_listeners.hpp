#pragma once
#include <mutex>
#include <utility>
#include <vector>

#include "tiers/store/store.hpp"

namespace sluice::store {

/// Who wants to know when a store's description changes. Control path; any thread.
class change_listeners {
 public:
  void add(changed callback) {
    const std::lock_guard lock(guard_);
    listeners_.push_back(std::move(callback));
  }
  void tell() {
    const std::lock_guard lock(guard_);
    for (const changed& listener : listeners_) listener();
  }

 private:
  std::mutex guard_;
  std::vector<changed> listeners_;
};

}  // namespace sluice::store
