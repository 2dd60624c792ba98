#pragma once
#include <memory>

#include "actors/reactor/loop.hpp"
#include "tiers/store/descriptor_store.hpp"

namespace sluice::block {

/// How long a device's new size goes unnoticed.
inline constexpr std::uint64_t size_watch_period_ns = 2 * ns_per_s;

/// The store, whose medium is asked for its size every two seconds from now on, on the control loop: the kernel tells
/// a process nothing when a device grows (a uevent reaches the first network namespace only).
std::shared_ptr<store::store> watched(std::unique_ptr<store::descriptor_store> opened, reactor::loop& control_loop);

}  // namespace sluice::block
