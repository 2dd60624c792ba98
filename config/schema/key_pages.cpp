#include "config/schema/key_pages.hpp"

#include <string_view>

#include "config/schema/diagnostic.hpp"

namespace sluice::config {

namespace {

constexpr std::string_view marker_begins = "<!-- keys", marker_of = " of ",
                           marker_ends = ": made from the program -->\n", last_marker = "<!-- end of keys -->\n";

std::string rows(const std::vector<key>& keys) {
  std::string out = "| key | takes | default | |\n|---|---|---|---|\n";
  for (const key& k : keys)
    out += "| `" + k.name + "` | " + allowed_by(k) + " | " + default_of(k) + " | " + k.help + " |\n";
  return out;
}

std::string with_titles(const std::vector<key_table>& all) {
  std::string out;
  for (const key_table& each : all) out += "## " + each.title + "\n\n" + each.intro + "\n\n" + rows(*each.keys) + "\n";
  return out;
}

/// What a page asks for by `name`; empty: for all.
result<std::string> asked_for(const std::string& name, const std::vector<key_table>& all) {
  if (name.empty()) return with_titles(all);
  std::vector<std::string> names;
  for (const key_table& each : all) {
    if (each.name == name) return "\n" + rows(*each.keys) + "\n";
    names.push_back(each.name);
  }
  return fail(errc::not_found,
              "there are no keys of \"" + name + "\"" + did_you_mean(name, names) + "; " + one_of(names));
}

}  // namespace

std::string default_of(const key& k) {
  return k.required ? "required" : k.otherwise.empty() ? "none" : k.otherwise;
}

std::vector<key_table> key_tables(const known_types& known) {
  std::vector<key_table> out{
      {"gateway", "`[gateway]`",
       "The gateway itself. A change of any of these keys but `log` and `log_level` needs a restart.", &gateway_keys()},
      {"cluster", "`[cluster]`",
       "Gateways over one Ceph cluster that serve the same units. Any change needs a restart.", &cluster_keys()},
      {"store", "`[store.NAME]`", "Where bytes live. Each type has more keys.", &store_keys()},
      {"unit", "`[unit.NAME]`", "A logical unit: the SCSI device over a store.", &unit_keys()},
      {"target", "`[target.NAME]`", "A SCSI target device.", &target_keys()},
      {"port", "`[[target.NAME.port]]`", "A target port. Each fabric has more keys.", &port_keys()},
      {"access", "`[target.NAME.access.\"INITIATOR\"]`",
       "An initiator that may log in. With any access table, all others are refused. The fabrics of the target's ports "
       "have more keys.",
       &access_keys()}};
  for (const auto& [type, keys] : known.stores)
    out.push_back({"store " + type, "A store with `type = \"" + type + "\"`", "Beside `type`.", &keys});
  for (const fabric_rules& fabric : known.fabrics) {
    out.push_back({"port " + fabric.name, "A port with `fabric = \"" + fabric.name + "\"`",
                   "Beside the keys of every port.", &fabric.port_keys});
    if (!fabric.access_keys.empty())
      out.push_back({"access " + fabric.name,
                     "An access table of a target with ports of fabric \"" + fabric.name + "\"",
                     "Beside the keys of every access table.", &fabric.access_keys});
  }
  return out;
}

result<std::string> with_keys(const std::string& page, const known_types& known) {
  const std::vector<key_table> all = key_tables(known);
  std::string out;
  std::size_t from = 0;
  for (std::size_t at; (at = page.find(marker_begins, from)) != std::string::npos;) {
    const std::size_t end = page.find(marker_ends, at), last = page.find(last_marker, at);
    if (end == std::string::npos || last == std::string::npos || last < end)
      return fail(errc::invalid_argument, "the mark \"" + page.substr(at, page.find('\n', at) - at) + "\" has no end");
    std::string name = page.substr(at + marker_begins.size(), end - at - marker_begins.size());
    if (!name.empty()) name.erase(0, marker_of.size());
    const auto tables = asked_for(name, all);
    if (!tables) return tl::unexpected(tables.error());
    out += page.substr(from, end + marker_ends.size() - from) + *tables;
    from = last;
  }
  return out + page.substr(from);
}

}  // namespace sluice::config
