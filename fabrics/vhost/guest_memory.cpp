#include "fabrics/vhost/guest_memory.hpp"

#include <algorithm>
#include <limits>

namespace sluice::vhost {
namespace {

bool wraps(std::uint64_t start, std::uint64_t size) {
  return size > std::numeric_limits<std::uint64_t>::max() - start;
}

}  // namespace

result<std::shared_ptr<const guest_memory>> guest_memory::make(std::vector<region> regions) {
  if (regions.size() > max_regions)
    return fail(errc::invalid_argument, "more than " + std::to_string(max_regions) + " regions of memory");
  for (const region& each : regions)
    if (each.is.size == 0 || wraps(each.is.guest_address, each.is.size) || wraps(each.is.user_address, each.is.size))
      return fail(errc::invalid_argument, "a region of memory without octets, or beyond the last address");
  const auto overlap = [&](std::uint64_t region_description::*start) {
    std::ranges::sort(regions, {}, [&](const region& r) { return r.is.*start; });
    return std::ranges::adjacent_find(regions, [&](const region& a, const region& b) {
             return a.is.*start + a.is.size > b.is.*start;
           }) != regions.end();
  };
  if (overlap(&region_description::user_address) || overlap(&region_description::guest_address))
    return fail(errc::invalid_argument, "regions of memory that overlap");
  auto made = std::make_shared<guest_memory>();
  made->regions_ = std::move(regions);
  return made;
}

const guest_memory::region* guest_memory::find(std::uint64_t address) const {
  for (const region& each : regions_)
    if (address - each.is.guest_address < each.is.size) return &each;
  return nullptr;
}

bool guest_memory::translate(std::uint64_t address, std::uint64_t length, std::vector<iovec>& out) const {
  const std::size_t before = out.size();
  while (length > 0) {
    const region* const where = find(address);
    if (!where) {
      out.resize(before);
      return false;
    }
    const std::uint64_t offset = address - where->is.guest_address;
    const std::uint64_t octets = std::min(length, where->is.size - offset);
    out.push_back({where->data + offset, static_cast<std::size_t>(octets)});
    address += octets;  // to 0 behind the last address, where no region that ends there can go on
    length -= octets;
    if (length > 0 && address == 0) {
      out.resize(before);
      return false;
    }
  }
  return true;
}

std::uint8_t* guest_memory::at(std::uint64_t address, std::uint64_t length) const {
  const region* const where = find(address);
  if (!where) return nullptr;
  const std::uint64_t offset = address - where->is.guest_address;
  return length <= where->is.size - offset ? where->data + offset : nullptr;
}

std::uint8_t* guest_memory::at_user(std::uint64_t address, std::uint64_t length) const {
  for (const region& each : regions_) {
    const std::uint64_t offset = address - each.is.user_address;
    if (offset < each.is.size) return length <= each.is.size - offset ? each.data + offset : nullptr;
  }
  return nullptr;
}

std::optional<std::uint64_t> guest_memory::address_of(const std::uint8_t* octet) const {
  for (const region& each : regions_) {
    const auto offset = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(octet) -
                                                   reinterpret_cast<std::uintptr_t>(each.data));
    if (offset < each.is.size) return each.is.guest_address + offset;
  }
  return std::nullopt;
}

}  // namespace sluice::vhost
