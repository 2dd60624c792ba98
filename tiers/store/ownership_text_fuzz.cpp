#include "actors/base/check.hpp"
#include "tiers/store/ownership_text.hpp"

namespace store = sluice::store;

/// Any text that a medium keeps is a mark or none; what is a mark survives the way back.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto made = store::ownership_of({reinterpret_cast<const char*>(data), size}, "it");
  if (made) SLUICE_CHECK(store::ownership_of(store::text_of(*made), "it") == *made);
  return 0;
}
