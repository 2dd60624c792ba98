#include "actors/base/bytes.hpp"
#include "config/schema/test_types.hpp"
#include "config/toml/load.hpp"

/// Any text becomes a model or at least one diagnostic, each on a line of its own.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const sluice::config::known_types known = sluice::config::types_for_tests();
  const auto m = sluice::config::load_text(sluice::as_text({data, size}), "f", "/", known);
  if (m) return 0;
  for (const auto& d : m.error().why)
    if (sluice::config::format(d, "f").find('\n') != std::string::npos) __builtin_trap();
  if (m.error().why.empty()) __builtin_trap();
  return 0;
}
