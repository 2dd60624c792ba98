#include "config/schema/read.hpp"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "config/schema/key_reader.hpp"

namespace sluice::config {

namespace {

std::uint32_t narrow(std::uint64_t v) {
  return static_cast<std::uint32_t>(v);
}

/// No two have one name. What is sorted is where they are: each one itself moves but once.
template <class T>
void sort_by_name(std::vector<T>& all) {
  std::vector<std::pair<std::string_view, T*>> order;
  order.reserve(all.size());
  for (T& each : all) order.emplace_back(each.name, &each);
  std::sort(order.begin(), order.end());
  std::vector<T> sorted;
  sorted.reserve(all.size());
  for (const auto& [name, each] : order) sorted.push_back(std::move(*each));
  all = std::move(sorted);
}

std::uint32_t to_number(const std::string& digits) {
  std::uint32_t out = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return out;
}

gateway_config read_gateway(read_context& context, const tree_node& node) {
  gateway_config out;
  out.at = node.at;
  const tree_table* table = expect_table(context, node, "gateway", "a table: [gateway]");
  if (table == nullptr) return out;
  const values v = read_keys(context, *table, gateway_keys(), "gateway", node.at);
  out.name = v.text_or("name", out.name);
  out.state_dir = v.text_or("state_dir", out.state_dir);
  out.control = v.text_or("control", out.control);
  for (const std::string& core : v.list("reactors")) out.cores.push_back(to_number(core));
  out.reactor_count = narrow(v.number("reactors", out.cores.size()));
  if (const std::string* http = v.text("http")) {
    out.http = parse_listen_address(*http);
    out.http_at = v.where("http", node.at);
  }
  out.log = v.text_or("log", "text") == "json" ? log_form::json : log_form::text;
  const std::string level = v.text_or("log_level", "info");
  out.log_level = level == "debug"     ? log_threshold::debug
                  : level == "warning" ? log_threshold::warning
                  : level == "error"   ? log_threshold::error
                                       : log_threshold::info;
  out.buffers_bytes = v.number("buffers", out.buffers_bytes);
  out.max_connections = narrow(v.number("max_connections", out.max_connections));
  out.max_connections_per_address = narrow(v.number("max_connections_per_address", out.max_connections_per_address));
  out.login_timeout_ns = v.number("login_timeout", out.login_timeout_ns);
  out.max_tasks = narrow(v.number("max_tasks", out.max_tasks));
  return out;
}

cluster_config read_cluster(read_context& context, const tree_node& node) {
  cluster_config out;
  out.at = node.at;
  const tree_table* table = expect_table(context, node, "cluster", "a table: [cluster]");
  if (table == nullptr) return out;
  const values v = read_keys(context, *table, cluster_keys(), "cluster", node.at);
  out.name = v.text_or("name", out.name);
  out.pool = v.text_or("pool", out.pool);
  out.user = v.text_or("user", out.user);
  out.conf = v.text_or("conf", out.conf);
  if (const std::string* listen = v.text("listen")) out.listen = parse_listen_address(*listen);
  out.balance = v.flag("balance", out.balance);
  out.hosts_move = v.flag("hosts_move", out.hosts_move);
  return out;
}

/// What a kind of store or port adds to the keys of all, by its name.
using kinds = std::vector<std::pair<std::string, const std::vector<key>*>>;

struct typed_keys {
  std::vector<key> keys;
  std::vector<std::string> let_pass;  // of a kind that is missing or unknown nothing more can be said
};

/// Keys of tables whose kind (`selector`: "type", "fabric") adds keys of its own. Those of a kind are put together
/// once, for thousands of stores have the same.
class keys_by_type {
 public:
  keys_by_type(const std::vector<key>& common, std::string selector, const kinds& all)
      : selector_(std::move(selector)) {
    of_others_.keys = common;
    const auto chooses = std::find_if(of_others_.keys.begin(), of_others_.keys.end(),
                                      [&](const key& each) { return each.name == selector_; });
    chooses->type = kind::choice;
    for (const auto& [name, more] : all) chooses->choices += (chooses->choices.empty() ? "" : "|") + name;
    for (const auto& [name, more] : all) {
      std::vector<key> keys = of_others_.keys;
      keys.insert(keys.end(), more->begin(), more->end());
      of_kinds_.emplace_back(name, typed_keys{std::move(keys), {}});
    }
    for (const auto& [name, more] : all)
      for (const key& each : *more) of_others_.let_pass.push_back(each.name);
  }

  const typed_keys& of(const tree_table& table) const {
    const tree_node* node = find_entry(table, selector_);
    const auto* chosen = node ? std::get_if<std::string>(&node->value) : nullptr;
    if (chosen)
      for (const auto& [name, keys] : of_kinds_)
        if (name == *chosen) return keys;
    return of_others_;
  }

 private:
  const std::string selector_;
  typed_keys of_others_;
  std::vector<std::pair<std::string, typed_keys>> of_kinds_;
};

keys_by_type keys_of_stores(const known_types& known) {
  kinds types;
  for (const auto& [type, keys] : known.stores) types.emplace_back(type, &keys);
  return {store_keys(), "type", types};
}

keys_by_type keys_of_ports(const known_types& known) {
  kinds fabrics;
  for (const fabric_rules& each : known.fabrics) fabrics.emplace_back(each.name, &each.port_keys);
  return {port_keys(), "fabric", fabrics};
}

store_config read_store(read_context& context, const tree_entry& entry, const keys_by_type& by_type) {
  store_config out;
  out.name = entry.name;
  out.at = entry.at;
  const std::string path = "store." + quoted_if_needed(entry.name);
  const tree_table* table = expect_table(context, entry.value, path, "a table: [store.NAME]");
  if (table == nullptr) return out;
  const typed_keys& typed = by_type.of(*table);
  out.settings = read_keys(context, *table, typed.keys, path, entry.at, typed.let_pass);
  out.type = out.settings.text_or("type", "");
  for (const key& k : typed.keys)
    if (k.type == kind::store_name && out.over.empty()) out.over = out.settings.text_or(k.name, "");
  return out;
}

unit_config read_unit(read_context& context, const tree_entry& entry) {
  unit_config out;
  out.name = entry.name;
  out.at = entry.at;
  const std::string path = "unit." + quoted_if_needed(entry.name);
  const tree_table* table = expect_table(context, entry.value, path, "a table: [unit.NAME]");
  if (table == nullptr) return out;
  const values v = read_keys(context, *table, unit_keys(), path, entry.at);
  out.store = v.text_or("store", "");
  out.block_size = to_number(v.text_or("block_size", "512"));
  out.says_block_size = v.has("block_size");
  out.thin = v.flag("thin", out.thin);
  out.read_only = v.flag("read_only", out.read_only);
  out.naa = v.text_or("naa", "");
  std::transform(out.naa.begin(), out.naa.end(), out.naa.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  out.serial = v.text_or("serial", "");
  out.vendor = v.text_or("vendor", "");
  out.product = v.text_or("product", "");
  if (v.has("rotational")) out.rotational = v.flag("rotational", false);
  out.naa_at = v.where("naa", entry.at);
  out.serial_at = v.where("serial", entry.at);
  out.vendor_at = v.where("vendor", entry.at);
  out.product_at = v.where("product", entry.at);
  out.store_at = v.where("store", entry.at);
  out.block_size_at = v.where("block_size", entry.at);
  return out;
}

std::optional<std::uint16_t> parse_lun(const std::string& text) {
  std::uint32_t lun = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, lun);
  const bool canonical = text.size() == 1 || !text.starts_with('0');  // "1" and "01" would be two keys for one LUN
  if (error != std::errc{} || rest != end || !canonical || lun > max_lun) return std::nullopt;
  return static_cast<std::uint16_t>(lun);
}

lun_map read_luns(read_context& context, const tree_node& node, const std::string& path) {
  lun_map out;
  const tree_table* table = expect_table(context, node, path, "a table of LUN = \"UNIT\"");
  if (table == nullptr) return out;
  for (const tree_entry& entry : table->entries) {
    const auto key_path = [&] { return path + "." + quoted_if_needed(entry.name); };
    const std::optional<std::uint16_t> lun = parse_lun(entry.name);
    if (!lun)
      context.wrong.push_back(
          {entry.at, key_path(), "is no LUN", "a whole number from 0 to " + std::to_string(max_lun)});
    const auto* unit = std::get_if<std::string>(&entry.value.value);
    if (unit == nullptr)
      context.wrong.push_back(
          {entry.value.at, key_path(), "is " + describe(entry.value), "the name of a unit or store"});
    if (lun && unit) out.push_back({*lun, *unit, entry.value.at});
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.lun < b.lun; });
  return out;
}

std::string canonical(const fabric_rules& rules, const std::string& name) {
  return rules.canonical_name ? rules.canonical_name(name) : name;
}

port_config read_port(read_context& context, const tree_node& node, const std::string& path, const known_types& known,
                      const keys_by_type& by_type) {
  port_config out;
  out.at = node.at;
  const tree_table* table = expect_table(context, node, path, "a table: [[target.NAME.port]]");
  if (table == nullptr) return out;
  const typed_keys& typed = by_type.of(*table);
  values v = read_keys(context, *table, typed.keys, path, node.at, typed.let_pass);
  out.fabric = v.text_or("fabric", "");
  out.group = static_cast<std::uint16_t>(v.number("group", out.group));
  for (const key& k : port_keys()) v.erase(k.name);
  if (const fabric_rules* rules = find_fabric(known, out.fabric)) {
    out.name = canonical(*rules, v.text_or(rules->name_key, ""));
    out.name_at = v.where(rules->name_key, node.at);
    v.erase(rules->name_key);
  }
  out.settings = std::move(v);
  return out;
}

/// The fabrics that a target's access tables speak of: those of its ports, or all where none of them is known.
std::vector<const fabric_rules*> fabrics_of(const target_config& target, const known_types& known) {
  std::vector<const fabric_rules*> out, all;
  for (const fabric_rules& each : known.fabrics) {
    all.push_back(&each);
    if (std::any_of(target.ports.begin(), target.ports.end(),
                    [&](const port_config& port) { return port.fabric == each.name; }))
      out.push_back(&each);
  }
  return out.empty() ? all : out;
}

access_config read_access(read_context& context, const tree_entry& entry, const target_config& target,
                          const std::vector<const fabric_rules*>& fabrics) {
  access_config out;
  out.initiator = entry.name;
  out.at = entry.at;
  const std::string path = access_path(target.name, entry.name);
  const tree_table* table = expect_table(context, entry.value, path, "a table: [target.NAME.access.\"INITIATOR\"]");
  if (table == nullptr) return out;
  std::vector<key> keys = access_keys();
  std::string problem;
  bool named = fabrics.empty();
  for (const fabric_rules* each : fabrics) {
    for (const key& k : each->access_keys)
      if (std::none_of(keys.begin(), keys.end(), [&](const key& known) { return known.name == k.name; }))
        keys.push_back(k);
    const std::string why = each->initiator_problem ? each->initiator_problem(entry.name) : std::string();
    if (why.empty() && !named) {
      named = true;
      out.initiator = canonical(*each, entry.name);
    }
    if (problem.empty()) problem = why;
  }
  if (!named) context.wrong.push_back({entry.at, path, "the initiator's name " + problem, {}});
  out.settings = read_keys(context, *table, keys, path, entry.at);
  if (const tree_node* luns = find_entry(*table, "luns")) out.luns = read_luns(context, *luns, path + ".luns");
  return out;
}

void read_ports(read_context& context, const tree_node& node, target_config& out, const known_types& known,
                const keys_by_type& by_type) {
  const auto* list = std::get_if<std::vector<tree_node>>(&node.value);
  if (list == nullptr) {
    context.wrong.push_back({node.at, "target." + quoted_if_needed(out.name) + ".port", "is " + describe(node),
                             "[[target.NAME.port]], in two brackets"});
    return;
  }
  for (std::size_t i = 0; i < list->size(); ++i)
    out.ports.push_back(read_port(context, (*list)[i], port_path(out.name, i), known, by_type));
}

target_config read_target(read_context& context, const tree_entry& entry, const known_types& known,
                          const keys_by_type& of_ports) {
  target_config out;
  out.name = entry.name;
  out.at = entry.at;
  const std::string path = "target." + quoted_if_needed(entry.name);
  const tree_table* table = expect_table(context, entry.value, path, "a table: [target.NAME]");
  if (table == nullptr) return out;
  out.open = read_keys(context, *table, target_keys(), path, entry.at).flag("open", false);
  if (const tree_node* luns = find_entry(*table, "luns")) out.luns = read_luns(context, *luns, path + ".luns");
  if (const tree_node* ports = find_entry(*table, "port")) read_ports(context, *ports, out, known, of_ports);
  const tree_node* access = find_entry(*table, "access");
  const tree_table* initiators =
      access ? expect_table(context, *access, path + ".access", "tables: [target.NAME.access.\"INITIATOR\"]") : nullptr;
  const std::vector<const fabric_rules*> fabrics = fabrics_of(out, known);
  if (initiators != nullptr)
    for (const tree_entry& each : initiators->entries) out.access.push_back(read_access(context, each, out, fabrics));
  std::sort(out.access.begin(), out.access.end(),
            [](const auto& a, const auto& b) { return a.initiator < b.initiator; });
  return out;
}

/// A LUN map that names a store makes a unit with defaults over it.
void add_implied_units(model& m) {
  const by_name<store_config> stores(m.stores);
  std::unordered_set<std::string> known;
  known.reserve(m.units.size() + m.stores.size());
  m.units.reserve(m.units.size() + m.stores.size());
  for (const unit_config& unit : m.units) known.insert(unit.name);
  const auto add = [&](const lun_map& luns) {
    for (const lun_config& lun : luns) {
      if (!stores.find(lun.unit) || !known.insert(lun.unit).second) continue;
      unit_config unit;
      unit.name = unit.store = lun.unit;
      unit.implied = true;
      unit.at = unit.store_at = unit.block_size_at = lun.at;
      m.units.push_back(std::move(unit));
    }
  };
  for (const target_config& target : m.targets) {
    add(target.luns);
    for (const access_config& each : target.access)
      if (each.luns) add(*each.luns);
  }
}

template <class Read>
void read_named(read_context& context, const tree_table& document, const char* noun, Read read_one) {
  const tree_node* node = find_entry(document, noun);
  const tree_table* table =
      node ? expect_table(context, *node, noun, std::string("tables: [") + noun + ".NAME]") : nullptr;
  if (table == nullptr) return;
  for (const tree_entry& entry : table->entries) read_one(entry);
}

}  // namespace

reading read_part(const tree_table& document, const std::string& directory, const known_types& known) {
  reading out;
  read_context context{directory, out.wrong};
  read_keys(context, document, root_keys(), "", {1, 1});
  if (const tree_node* gateway = find_entry(document, "gateway")) out.what.gateway = read_gateway(context, *gateway);
  if (const tree_node* cluster = find_entry(document, "cluster")) out.what.cluster = read_cluster(context, *cluster);
  const keys_by_type of_stores = keys_of_stores(known), of_ports = keys_of_ports(known);
  read_named(context, document, "store",
             [&](const tree_entry& e) { out.what.stores.push_back(read_store(context, e, of_stores)); });
  read_named(context, document, "unit", [&](const tree_entry& e) { out.what.units.push_back(read_unit(context, e)); });
  read_named(context, document, "target",
             [&](const tree_entry& e) { out.what.targets.push_back(read_target(context, e, known, of_ports)); });
  sort_by_name(out.what.stores);
  add_implied_units(out.what);
  sort_by_name(out.what.units);
  sort_by_name(out.what.targets);
  sort_by_place(out.wrong);
  return out;
}

reading read(const tree_table& document, const std::string& directory, const known_types& known) {
  reading out = read_part(document, directory, known);
  validate(out.what, known, out.wrong);
  sort_by_place(out.wrong);
  return out;
}

}  // namespace sluice::config
