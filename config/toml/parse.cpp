#include "config/toml/parse.hpp"

// toml++ 3.3 asserts what some malformed documents violate, and takes it for granted under NDEBUG. A document is input
// from a user: such an assertion is made an exception here, whatever the build.
#undef NDEBUG
namespace {
struct parser_confused {};
constexpr void parser_requires(bool condition) {
  if (!condition) throw parser_confused();
}
}  // namespace
#define TOML_ASSERT(condition) parser_requires(static_cast<bool>(condition))
#define TOML_EXCEPTIONS 1
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
  const auto refuse = [](place at, std::string why) {
    return tl::unexpected<diagnostic>(diagnostic{at, "TOML", std::move(why), "a TOML 1.0 document"});
  };
  try {
    return convert(toml::parse(text));
  } catch (const toml::parse_error& error) {
    return refuse(to_place(error.source()), std::string(error.description()));
  } catch (const parser_confused&) {
    return refuse({1, 1}, "cannot be parsed");
  }
}

}  // namespace sluice::config
