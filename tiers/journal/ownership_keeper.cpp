#include "tiers/journal/ownership_keeper.hpp"

#include <utility>

namespace sluice::journal {

ownership_keeper::ownership_keeper(std::shared_ptr<store::store> below, std::uint64_t epoch, reactor::offload offload)
    : below_(std::move(below)), epoch_(epoch), calls_(std::move(offload)) {}

result<void> ownership_keeper::claim(const std::string& holder, const std::function<void()>& claimed) {
  const std::lock_guard lock(guard_);
  auto done = write({epoch_, holder});
  if (!done && done.error().code != errc::unsupported) return done;
  claimed();
  claims_.fetch_add(1, std::memory_order_seq_cst);
  return {};
}

bool ownership_keeper::clear() {
  const std::lock_guard lock(guard_);
  return write_cleared();
}

/// With guard_ held. A medium that keeps no mark needs none to be taken away.
bool ownership_keeper::write_cleared() {
  const auto done = write({epoch_, {}});
  return done || done.error().code == errc::unsupported;
}

/// With guard_ held. A medium that has the mark is not asked again: it may be silent by now.
result<void> ownership_keeper::write(const store::ownership& wanted) {
  if (written_ == wanted) return {};
  written_.reset();
  auto done = below_->write_ownership(wanted);
  if (done) written_ = wanted;
  return done;
}

void ownership_keeper::clear_off_loop(std::uint64_t claims) {
  calls_.run([this, claims] {
    const std::lock_guard lock(guard_);
    if (claims_.load(std::memory_order_seq_cst) == claims) static_cast<void>(write_cleared());
  });
}

void ownership_keeper::disown_off_loop(std::string holder, std::function<void(bool)> answered) {
  calls_.run([this, holder = std::move(holder), answered = std::move(answered)] {
    std::unique_lock lock(guard_);
    const bool known = write({++epoch_, holder}).has_value();
    lock.unlock();
    answered(known);
  });
}

}  // namespace sluice::journal
