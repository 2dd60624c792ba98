#include "fabrics/vhost/dirty_log.hpp"

#include <algorithm>
#include <atomic>

namespace sluice::vhost {

void dirty_log::note(std::uint64_t address, std::uint64_t length) const {
  constexpr std::uint64_t page_bytes = 4096, bits = 8;
  if (length == 0) return;
  const bytes log = held_->span();
  const std::uint64_t first = address / page_bytes;
  const std::uint64_t last = (address + std::min(length - 1, ~address)) / page_bytes;
  for (std::uint64_t page = first; page <= last && page / bits < log.size(); ++page)
    std::atomic_ref<std::uint8_t>(log[page / bits])
        .fetch_or(static_cast<std::uint8_t>(1u << page % bits), std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

}  // namespace sluice::vhost
