#pragma once
#include <cstring>
#include <memory>
#include <vector>

#include "actors/wire/little_endian.hpp"
#include "fabrics/vhost/front_end.hpp"
#include "fabrics/vhost/split_ring.hpp"

namespace sluice::vhost {

/// A guest of one page for its rings and two regions of memory that follow each other, and one apart.
struct test_guest {
  static constexpr std::uint64_t low = 0x1000, user = 0x700000, apart = 0x100000;
  static constexpr std::uint16_t size = 8;

  explicit test_guest(bool event_index = false) : driver(rings.data(), size, event_index) {
    memory = guest_memory::make({of(0, user, rings), of(low, user + 0x10000, first),
                                 of(low + first.size(), user + 0x20000, second), of(apart, user + 0x30000, third)})
                 .value();
    bound = ring.bind(*memory, places(), event_index, true, 0);
  }
  static guest_memory::region of(std::uint64_t guest, std::uint64_t at, std::vector<std::uint8_t>& octets) {
    return {{guest, octets.size(), at, 0}, nullptr, octets.data()};
  }
  split_ring::places places() const {
    const auto at = [&](const std::uint8_t* part) { return user + static_cast<std::uint64_t>(part - rings.data()); };
    return {size, at(driver.descriptors()), at(driver.available()), at(driver.used_ring())};
  }

  std::vector<std::uint8_t> rings = std::vector<std::uint8_t>(0x1000), first = rings, second = rings, third = rings;
  driver_ring driver;
  std::shared_ptr<const guest_memory> memory;
  split_ring ring;
  bool bound = false;
  chain taken;
};

}  // namespace sluice::vhost
