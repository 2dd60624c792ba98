#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "actors/base/result.hpp"
#include "fabrics/vhost/mapping.hpp"
#include "fabrics/vhost/message.hpp"

namespace sluice::vhost {

/// A guest's memory as this process sees it: regions that the front end shares. Immutable; a change makes another one.
/// Every address that a guest or a front end names comes through here, and ends in a region or nowhere.
class guest_memory {
 public:
  static constexpr std::size_t max_regions = 64;
  struct region {
    region_description is;
    std::shared_ptr<const mapping> held;  // keeps `data` mapped; null in tests
    std::uint8_t* data = nullptr;         // of its first octet
  };

  /// errc::invalid_argument: empty, too many, beyond the end of the addresses, or overlapping regions.
  static result<std::shared_ptr<const guest_memory>> make(std::vector<region> regions);

  /// The octets [address, address + length), which may lie in several regions that follow each other: appended to `out`
  /// in order. False, with `out` as it was, when a part of them is nowhere.
  bool translate(std::uint64_t address, std::uint64_t length, std::vector<iovec>& out) const;
  /// One piece of memory within one region, by guest address; null when there is none.
  std::uint8_t* at(std::uint64_t address, std::uint64_t length) const;
  /// The same by the front end's address.
  std::uint8_t* at_user(std::uint64_t address, std::uint64_t length) const;
  /// The guest address of an octet of a region; nullopt when it is none's.
  std::optional<std::uint64_t> address_of(const std::uint8_t* octet) const;

  const std::vector<region>& regions() const { return regions_; }

 private:
  const region* find(std::uint64_t address) const;
  std::vector<region> regions_;  // by guest address
};

}  // namespace sluice::vhost
