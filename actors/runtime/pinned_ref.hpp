#pragma once
#include <caf/actor_control_block.hpp>

namespace sluice::runtime {

/// A strong handle to a pinned actor with its class: for wrappers that send notes. Knows no more of CAF than that, so
/// that what merely holds actors need not compile all of it.
template <class Actor>
struct pinned_ref {
  caf::strong_actor_ptr handle;
  Actor* operator->() const { return self; }
  explicit operator bool() const { return self != nullptr; }
  Actor* self = nullptr;
};

}  // namespace sluice::runtime
