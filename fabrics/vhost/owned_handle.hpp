#pragma once
#include <memory>

#include "actors/reactor/loop.hpp"

namespace sluice::vhost {

/// A descriptor that a front end passed, closed when nobody has it any more; by whichever core.
class owned_handle {
 public:
  owned_handle(reactor::loop& of, reactor::handle h) : loop_(of), handle_(h) {}
  ~owned_handle() { loop_.close(handle_); }
  owned_handle(const owned_handle&) = delete;
  owned_handle& operator=(const owned_handle&) = delete;
  reactor::handle get() const { return handle_; }

 private:
  reactor::loop& loop_;
  const reactor::handle handle_;
};
using shared_handle = std::shared_ptr<const owned_handle>;

}  // namespace sluice::vhost
