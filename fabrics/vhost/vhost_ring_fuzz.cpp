#include <algorithm>
#include <vector>

#include "fabrics/vhost/dirty_log.hpp"
#include "fabrics/vhost/inflight.hpp"
#include "fabrics/vhost/split_ring.hpp"

namespace sluice::vhost {
namespace {

constexpr std::uint64_t guest_base = 0x1000, user_base = 0x70000;
constexpr std::uint16_t ring_size = 8;

/// All that is shared, as the guest left it: whatever a chain names lies in it.
void check(const chain& taken, const std::vector<std::uint8_t>& shared) {
  std::uint64_t readable = 0, writable = 0;
  for (const auto* parts : {&taken.readable, &taken.writable})
    for (const iovec& each : *parts) {
      const auto* const at = static_cast<const std::uint8_t*>(each.iov_base);
      if (at < shared.data() || at + each.iov_len > shared.data() + shared.size()) __builtin_trap();
      (parts == &taken.readable ? readable : writable) += each.iov_len;
    }
  if (readable != taken.readable_bytes || writable != taken.writable_bytes) __builtin_trap();
}

}  // namespace

/// A guest's memory, rings and all: the input. The first octet chooses what was negotiated.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // Aligned as pages are, in two regions that follow each other and one apart.
  std::vector<std::uint8_t> shared(0x2000 + 64);
  std::uint8_t* const base = shared.data() + (64 - reinterpret_cast<std::uintptr_t>(shared.data()) % 64) % 64;
  std::copy_n(data + 1, std::min<std::size_t>(size - 1, 0x2000), base);
  const auto memory = guest_memory::make({{{guest_base, 0x800, user_base, 0}, nullptr, base},
                                          {{guest_base + 0x800, 0x800, user_base + 0x800, 0}, nullptr, base + 0x800},
                                          {{0x100000, 0x1000, user_base + 0x10000, 0}, nullptr, base + 0x1000}})
                          .value();
  const bool event_index = (data[0] & 1) != 0, indirect = (data[0] & 2) != 0;
  split_ring ring;
  if (!ring.bind(*memory, {ring_size, user_base, user_base + 0x80, user_base + 0x100}, event_index, indirect, 0))
    __builtin_trap();
  inflight_record record(base + 0x1800, ring_size);
  chain taken;
  for (const std::uint16_t head : record.recover(ring.used_index()))
    if (ring.again(*memory, head, taken) == split_ring::found::one) check(taken, shared);
  ring.ask_for_kicks();
  for (int i = 0; i < 2 * ring_size && ring.pop(*memory, taken) == split_ring::found::one; ++i) {
    check(taken, shared);
    if (taken.head >= ring_size) __builtin_trap();
    record.took(taken.head);
    record.giving_back(taken.head);
    ring.push(taken.head, 1);
    record.gave_back(taken.head, ring.used_index());
    ring.wants_signal();
  }
  return 0;
}

}  // namespace sluice::vhost
