#include "actors/reactor/link_notices.hpp"

// One datagram as the kernel sends it: no notice holds more than came.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::reactor;
  for (const route_notice& each : read_route_notices({data, size})) {
    if (const auto* link = std::get_if<link_notice>(&each); link && link->name.size() > size) __builtin_trap();
    if (const auto* address = std::get_if<address_notice>(&each);
        address && !endpoint::parse(endpoint{address->host, 1}.to_string()))
      __builtin_trap();
  }
  return 0;
}
