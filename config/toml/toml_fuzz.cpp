#include <algorithm>

#include "actors/base/bytes.hpp"
#include "config/schema/merge.hpp"
#include "config/schema/test_types.hpp"
#include "config/toml/depth.hpp"
#include "config/toml/load.hpp"
#include "config/toml/parse.hpp"

namespace {

unsigned depth_of(const sluice::config::tree_table& table);

unsigned depth_of(const sluice::config::tree_node& node) {
  unsigned deepest = 0;
  if (const auto* table = std::get_if<sluice::config::tree_table>(&node.value)) return depth_of(*table);
  if (const auto* list = std::get_if<std::vector<sluice::config::tree_node>>(&node.value))
    for (const auto& each : *list) deepest = std::max(deepest, depth_of(each) + 1);
  return deepest;
}

unsigned depth_of(const sluice::config::tree_table& table) {
  unsigned deepest = 0;
  for (const auto& entry : table.entries) deepest = std::max(deepest, depth_of(entry.value) + 1);
  return deepest;
}

}  // namespace

/// Any text becomes a model or at least one diagnostic, each on a line of its own. What the parser takes is never
/// deeper than what the look before it lets pass; each part of a header may name an array of tables, which counts
/// twice.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const sluice::config::known_types known = sluice::config::types_for_tests();
  const auto parsed = sluice::config::parse_toml(sluice::as_text({data, size}));
  if (parsed && depth_of(*parsed) > 2 * sluice::config::max_depth + 2) __builtin_trap();
  if (parsed) {
    const auto own = sluice::config::parse_toml("[store.a]\ntype = 'ram'\n[target.main]\nport = []\n");
    sluice::config::diagnostics clashes;
    const auto merged = sluice::config::merge(*own, *parsed, clashes);
    if (merged.entries.size() + clashes.size() < parsed->entries.size()) __builtin_trap();  // nothing goes unsaid
  }
  const auto m = sluice::config::load_text(sluice::as_text({data, size}), "f", "/", known);
  if (m) return 0;
  for (const auto& d : m.error().why)
    if (sluice::config::format(d, "f").find('\n') != std::string::npos) __builtin_trap();
  if (m.error().why.empty()) __builtin_trap();
  return 0;
}
