#include <atomic>
#include <cstring>

#include "fabrics/vhost/front_end.hpp"

namespace sluice::vhost {
namespace {

std::atomic_ref<std::uint16_t> word_at(std::uint8_t* at) {
  return std::atomic_ref<std::uint16_t>(*reinterpret_cast<std::uint16_t*>(at));
}

}  // namespace

driver_ring::driver_ring(std::uint8_t* at, std::uint16_t size, bool event_index)
    : at_(at), size_(size), event_index_(event_index) {}

std::size_t driver_ring::bytes_of(std::uint16_t size) {
  return std::size_t{size} * 16 + 8 + std::size_t{size} * 2 + 8 + std::size_t{size} * 8 + 16;
}

std::uint8_t* driver_ring::used_ring() const {
  const std::size_t end = std::size_t{size_} * 16 + 6 + std::size_t{size_} * 2;
  return at_ + (end + 7) / 8 * 8;
}

void driver_ring::set(std::uint16_t index, const descriptor& d) {
  std::memcpy(at_ + std::size_t{index} * 16, &d, sizeof d);
}

void driver_ring::make_available(std::uint16_t head) {
  word_at(available() + 4 + 2 * (available_index_ % size_)).store(head, std::memory_order_relaxed);
  word_at(available() + 2).store(++available_index_, std::memory_order_release);
}

bool driver_ring::wants_kick() {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint16_t before = kicked_;
  kicked_ = available_index_;
  if (!event_index_) return (word_at(used_ring()).load(std::memory_order_relaxed) & 1) == 0;
  const std::uint16_t wanted = word_at(used_ring() + 4 + 8 * std::size_t{size_}).load(std::memory_order_relaxed);
  return static_cast<std::uint16_t>(available_index_ - wanted - 1) <
         static_cast<std::uint16_t>(available_index_ - before);
}

std::optional<driver_ring::used> driver_ring::next_used() {
  if (word_at(used_ring() + 2).load(std::memory_order_acquire) == used_seen_) return std::nullopt;
  used out;
  std::memcpy(&out, used_ring() + 4 + 8 * static_cast<std::size_t>(used_seen_ % size_), sizeof out);
  ++used_seen_;
  return out;
}

bool driver_ring::ask_for_signal() {
  if (event_index_)
    word_at(available() + 4 + 2 * std::size_t{size_}).store(used_seen_, std::memory_order_relaxed);
  else
    word_at(available()).store(0, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return word_at(used_ring() + 2).load(std::memory_order_acquire) == used_seen_;
}

void driver_ring::suppress_signals() {
  if (event_index_)  // as far away as can be
    word_at(available() + 4 + 2 * std::size_t{size_})
        .store(static_cast<std::uint16_t>(used_seen_ - 1), std::memory_order_relaxed);
  else
    word_at(available()).store(1, std::memory_order_relaxed);
}

}  // namespace sluice::vhost
