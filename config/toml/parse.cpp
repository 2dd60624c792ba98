#include "config/toml/parse.hpp"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include <algorithm>
#include <string>

namespace sluice::config {

namespace {

place to_place(const toml::source_region& region) {
  return {static_cast<std::uint32_t>(region.begin.line), static_cast<std::uint32_t>(region.begin.column)};
}

tree_table convert(const toml::table& from);

tree_node convert(const toml::node& from) {
  tree_node out;
  out.at = to_place(from.source());
  if (const auto* text = from.as_string())
    out.value = text->get();
  else if (const auto* number = from.as_integer())
    out.value = number->get();
  else if (const auto* fraction = from.as_floating_point())
    out.value = fraction->get();
  else if (const auto* flag = from.as_boolean())
    out.value = flag->get();
  else if (const auto* table = from.as_table())
    out.value = convert(*table);
  else if (const auto* array = from.as_array()) {
    std::vector<tree_node> list;
    for (const toml::node& each : *array) list.push_back(convert(each));
    out.value = std::move(list);
  }
  return out;
}

tree_table convert(const toml::table& from) {
  tree_table out;
  for (const auto& [name, node] : from)
    out.entries.push_back({std::string(name.str()), to_place(name.source()), convert(node)});
  // toml++ sorts by name.
  std::stable_sort(out.entries.begin(), out.entries.end(),
                   [](const tree_entry& a, const tree_entry& b) { return a.at.before(b.at); });
  return out;
}

}  // namespace

tl::expected<tree_table, diagnostic> parse_toml(std::string_view text) {
  const toml::parse_result parsed = toml::parse(text);
  if (parsed) return convert(parsed.table());
  const toml::parse_error& error = parsed.error();
  return tl::unexpected<diagnostic>(
      diagnostic{to_place(error.source()), "TOML", std::string(error.description()), "a TOML 1.0 document"});
}

}  // namespace sluice::config
