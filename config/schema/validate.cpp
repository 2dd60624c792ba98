#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "config/schema/key_reader.hpp"
#include "config/schema/names.hpp"
#include "config/schema/quantity.hpp"
#include "config/schema/read.hpp"

namespace sluice::config {

namespace {

class validator {
 public:
  validator(const model& m, const known_types& known, diagnostics& wrong)
      : model_(m), known_(known), wrong_(wrong), stores_(m.stores), units_(m.units) {}

  void run() {
    check_names();
    cycles_ = find_cycles();
    for (const store_config& store : model_.stores) check_below(store);
    if (cycles_.empty()) check_heights();
    for (const unit_config& unit : model_.units) check_unit(unit);
    check_identities();
    check_claims();
    check_media();
    check_http();
    check_links();
    check_port_names();
    for (const target_config& target : model_.targets) check_target(target);
    for (const fabric_rules& fabric : known_.fabrics)
      if (fabric.check) fabric.check(model_, wrong_);
    if (wrong_.empty()) check_keys_together();  // else what is missing may be what was wrong
  }

 private:
  static std::string store_path(const store_config& s, const std::string& key) {
    return "store." + quoted_if_needed(s.name) + "." + key;
  }
  static std::string unit_path(const unit_config& u, const std::string& key) {
    return "unit." + quoted_if_needed(u.name) + "." + key;
  }

  void complain(place at, std::string key, std::string problem, std::string allowed) {
    wrong_.push_back({at, std::move(key), std::move(problem), std::move(allowed)});
  }

  void check_names() {
    const auto check = [this](const auto& all, const char* noun) {
      for (const auto& each : all)
        if (!is_plain_name(each.name))
          complain(each.at, std::string(noun) + "." + quoted_if_needed(each.name), "is no name", plain_name_spelling);
    };
    check(model_.stores, "store");
    check(model_.targets, "target");
    for (const unit_config& unit : model_.units)
      if (!unit.implied && !is_plain_name(unit.name))
        complain(unit.at, "unit." + quoted_if_needed(unit.name), "is no name", plain_name_spelling);
  }

  const std::vector<std::string>& store_names() {
    if (store_names_.empty())
      for (const store_config& s : model_.stores) store_names_.push_back(s.name);
    return store_names_;
  }

  /// What a LUN may name, in order.
  const std::vector<std::string>& unit_names() {
    if (!unit_names_.empty()) return unit_names_;
    std::set<std::string> all(store_names().begin(), store_names().end());
    for (const unit_config& unit : model_.units) all.insert(unit.name);
    unit_names_.assign(all.begin(), all.end());
    return unit_names_;
  }

  void dangling(place at, std::string key, const std::string& name, const char* what,
                const std::vector<std::string>& candidates) {
    // To compare each with all would cost the square of what a file says.
    const bool guesses = guesses_left_ > 0;
    if (guesses) --guesses_left_;
    complain(at, std::move(key),
             "there is no " + std::string(what) + " \"" + name + "\"" +
                 (guesses ? did_you_mean(name, candidates) : std::string()),
             candidates.empty() ? "none is defined"
             : guesses          ? one_of(candidates)
                                : std::string());
  }

  /// The key by which a store names the one below it.
  std::string below_key(const store_config& store) const {
    if (const std::vector<key>* keys = find_keys(known_.stores, store.type))
      for (const key& k : *keys)
        if (k.type == kind::store_name && store.settings.has(k.name)) return k.name;
    return "over";
  }

  void check_below(const store_config& store) {
    if (store.over.empty()) return;
    const std::string key = below_key(store);
    const place at = store.settings.where(key, store.at);
    if (stores_.find(store.over) == nullptr)
      return dangling(at, store_path(store, key), store.over, "store", store_names());
    const auto cycle = cycles_.find(store.name);
    if (cycle == cycles_.end()) return;
    std::string spelled;
    for (const std::string& name : cycle->second) spelled += (spelled.empty() ? "" : " over ") + name;
    complain(at, store_path(store, key), "makes a cycle: " + spelled, "a store that does not lie over this one");
  }

  /// Each cycle once, by the first of its names: from there downward to the same name again. Looks at each store once.
  std::map<std::string, std::vector<std::string>> find_cycles() const {
    std::map<std::string, std::vector<std::string>> cycles;
    std::map<const store_config*, const store_config*> met;  // by the walk that began there
    for (const store_config& start : model_.stores) {
      const store_config* at = &start;
      while (at != nullptr && !at->over.empty() && met.emplace(at, &start).second) at = below(*at);
      if (at == nullptr || at->over.empty() || met.at(at) != &start) continue;
      std::vector<std::string> names{at->name};
      for (const store_config* next = below(*at); next != at; next = below(*next)) names.push_back(next->name);
      std::rotate(names.begin(), std::min_element(names.begin(), names.end()), names.end());
      names.push_back(names.front());
      cycles.emplace(names.front(), names);
    }
    return cycles;
  }

  /// What opens, compares and closes stores goes down from one to the next.
  void check_heights() {
    std::map<std::string_view, std::size_t> heights;
    for (const store_config& store : model_.stores) {
      if (store.over.empty()) continue;  // those above it see to it
      std::vector<const store_config*> way;
      const store_config* at = &store;
      while (at != nullptr && !heights.contains(at->name)) {
        way.push_back(at);
        at = at->over.empty() ? nullptr : below(*at);
      }
      std::size_t height = at == nullptr ? 0 : heights.at(at->name);
      for (; !way.empty(); way.pop_back()) {
        const store_config& next = *way.back();
        heights[next.name] = ++height;
        if (height == highest_tower + 1)
          complain(next.settings.where(below_key(next), next.at), store_path(next, below_key(next)),
                   "makes a tower of more than " + std::to_string(highest_tower) + " stores",
                   "a store that lies lower");
      }
    }
  }

  const store_config* below(const store_config& store) const { return stores_.find(store.over); }

  void check_unit(const unit_config& unit) {
    if (unit.store.empty()) return;
    const store_config* store = stores_.find(unit.store);
    if (store == nullptr) return dangling(unit.store_at, unit_path(unit, "store"), unit.store, "store", store_names());
    const std::optional<std::uint64_t> size = configured_size(model_, *store);
    if (!size || unit.block_size == 0) return;
    if (*size == 0 || *size % unit.block_size != 0) complain_size(unit, *store, *size);
  }

  void check_text(place at, const unit_config& unit, const char* key, const std::string& text, std::size_t most) {
    const bool fits =
        text.size() <= most && std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
    if (!fits)
      complain(at, unit_path(unit, key), "\"" + text + "\" does not fit into INQUIRY",
               "up to " + std::to_string(most) + " letters of ASCII");
  }

  /// NAA 2h, 3h and 5h have 8 octets, 6h has 16 [SPC-4 7.8.6.6].
  static bool is_naa_name(const std::string& name) {
    constexpr std::size_t prefix = 4;
    const bool is_hex =
        name.starts_with("naa.") && name.find_first_not_of("0123456789abcdef", prefix) == std::string::npos;
    if (!is_hex) return false;
    if (name.size() == prefix + 32) return name[prefix] == '6';
    return name.size() == prefix + 16 && (name[prefix] == '2' || name[prefix] == '3' || name[prefix] == '5');
  }

  /// What initiators know units by, where a file says it: no two may be taken for one disk.
  void check_identities() {
    std::map<std::string, std::string> names, serials;
    const auto check_own = [this](std::map<std::string, std::string>& all, place at, const unit_config& unit,
                                  const char* key, const std::string& name) {
      if (name.empty()) return;
      const auto [first, fresh] = all.emplace(name, unit_path(unit, key));
      if (!fresh) complain(at, unit_path(unit, key), "\"" + name + "\" is " + first->second + " too", "one of its own");
    };
    for (const unit_config& unit : model_.units) {
      check_text(unit.serial_at, unit, "serial", unit.serial, 64);
      check_text(unit.vendor_at, unit, "vendor", unit.vendor, 8);
      check_text(unit.product_at, unit, "product", unit.product, 16);
      const bool named = unit.naa.empty() || is_naa_name(unit.naa);
      if (!named)
        complain(unit.naa_at, unit_path(unit, "naa"), "\"" + unit.naa + "\" is no NAA name",
                 "naa. with 16 hexadecimal digits that begin with 2, 3 or 5, or with 32 that begin with 6");
      check_own(names, unit.naa_at, unit, "naa", unit.naa);
      check_own(serials, unit.serial_at, unit, "serial", unit.serial);
    }
  }

  void complain_size(const unit_config& unit, const store_config& top, std::uint64_t size) {
    const store_config* store = &top;
    while (!store->settings.has("size")) store = stores_.find(store->over);
    complain(store->settings.where("size", store->at), store_path(*store, "size"),
             format_size(size) + (size == 0 ? " holds no block" : " is no multiple of the block size") + " of unit \"" +
                 unit.name + "\"",
             "a multiple of " + std::to_string(unit.block_size) + "B");
  }

  /// Where a LUN map first names a unit that has no table of its own.
  std::string first_lun_path(const std::string& unit) const {
    const auto find = [&unit](const lun_map& luns, const std::string& path) {
      for (const lun_config& lun : luns)
        if (lun.unit == unit) return path + ".luns." + std::to_string(lun.lun);
      return std::string();
    };
    for (const target_config& target : model_.targets) {
      std::string path = find(target.luns, "target." + quoted_if_needed(target.name));
      for (const access_config& each : target.access)
        if (path.empty() && each.luns) path = find(*each.luns, access_path(target.name, each.initiator));
      if (!path.empty()) return path;
    }
    return "unit." + quoted_if_needed(unit);
  }

  /// Those that more than one unit or tier lies over, themselves apart.
  std::unordered_set<std::string_view> contested_stores() const {
    std::unordered_set<std::string_view> claimed, contested;
    claimed.reserve(model_.stores.size());
    const auto claim = [&](const std::string& store) {
      if (!store.empty() && !claimed.insert(store).second) contested.insert(store);
    };
    for (const store_config& store : model_.stores)
      if (store.over != store.name) claim(store.over);
    for (const unit_config& unit : model_.units) claim(unit.store);
    return contested;
  }

  /// A store belongs to one unit or one tier: two writers that don't know of each other would tear each other's data.
  void check_claims() {
    struct claim {
      place at;
      const store_config* store = nullptr;  // or
      const unit_config* unit = nullptr;
    };
    const auto key_of = [this](const claim& c) {
      if (c.store) return store_path(*c.store, below_key(*c.store));
      return c.unit->implied ? first_lun_path(c.unit->name) : unit_path(*c.unit, "store");
    };
    const auto name_of = [](const claim& c) {
      if (c.store) return "store \"" + c.store->name + "\"";
      return "unit \"" + c.unit->name + "\"" + (c.unit->implied ? ", made by a LUN map" : "");
    };
    const std::unordered_set<std::string_view> contested = contested_stores();
    if (contested.empty()) return;
    std::map<std::string, std::vector<claim>> claims;
    for (const store_config& s : model_.stores)
      if (contested.contains(s.over) && s.over != s.name)
        claims[s.over].push_back({s.settings.where(below_key(s), s.at), &s, nullptr});
    for (const unit_config& u : model_.units)
      if (contested.contains(u.store)) claims[u.store].push_back({u.store_at, nullptr, &u});
    for (auto& [store, by] : claims) {
      std::stable_sort(by.begin(), by.end(), [](const claim& a, const claim& b) { return a.at.before(b.at); });
      for (std::size_t i = 1; i < by.size(); ++i)
        complain(by[i].at, key_of(by[i]), "store \"" + store + "\" is taken by " + name_of(by[0]),
                 "one unit or one store over a store");
    }
  }

  void check_keys_together() {
    if (!known_.examine) return;
    for (const store_config& store : model_.stores) {
      const auto good = known_.examine(store.type, store.settings);
      if (good) continue;
      const std::string& sentence = good.error().message;
      const std::string key = sentence.substr(0, sentence.find(": "));
      if (store.settings.has(key))
        complain(store.settings.where(key, store.at), store_path(store, key), sentence.substr(key.size() + 2), {});
      else
        complain(store.at, "store." + quoted_if_needed(store.name), sentence, {});
    }
  }

  /// Two stores over one file or device.
  void check_media() {
    struct place_of_use {
      const store_config& store;
      const key& by;
    };
    std::unordered_map<std::string_view, place_of_use> used;
    used.reserve(model_.stores.size());
    for (const store_config& store : model_.stores) {
      const std::vector<key>* keys = find_keys(known_.stores, store.type);
      if (keys == nullptr) continue;
      for (const key& k : *keys) {
        const bool medium = k.type == kind::path && (k.name == "path" || k.name.ends_with(".path"));
        const std::string* path = medium ? store.settings.text(k.name) : nullptr;
        if (path == nullptr) continue;
        const auto [first, fresh] = used.try_emplace(*path, place_of_use{store, k});
        if (!fresh)
          complain(store.settings.where(k.name, store.at), store_path(store, k.name),
                   "\"" + *path + "\" is " + store_path(first->second.store, first->second.by.name) + " too",
                   "a file or device of its own");
      }
    }
  }

  void check_links() {
    if (!model_.cluster || !model_.cluster->listen) return;
    const listen_address& at = *model_.cluster->listen;
    if (at.is_wildcard() || at.port == 0)
      complain(model_.cluster->at, "cluster.listen",
               at.to_string() + " is no address that the other gateways could be told of",
               "an address of this machine, and a port, such as 10.0.0.11:3290");
  }

  void check_http() {
    const auto& http = model_.gateway.http;
    if (http && !http->is_loopback())
      complain(model_.gateway.http_at, "gateway.http",
               http->to_string() + " is beyond loopback and asks nobody who they are",
               "a loopback address, with a proxy before it that asks for a password or a certificate");
  }

  void check_port_names() {
    struct holder {
      const target_config* target;
      std::string path;
      std::set<std::uint16_t> groups;
    };
    std::map<std::pair<std::string, std::string>, holder> names;
    for (const target_config& target : model_.targets) {
      for (std::size_t i = 0; i < target.ports.size(); ++i) {
        const port_config& port = target.ports[i];
        if (port.name.empty()) continue;
        const std::string path = port_path(target.name, i) + ".name";
        auto [it, fresh] = names.try_emplace({port.fabric, port.name}, holder{&target, path, {}});
        if (it->second.target != &target)
          complain(port.name_at, path, "\"" + port.name + "\" is " + it->second.path + " too", "a name of its own");
        else if (!it->second.groups.insert(port.group).second)
          complain(port.name_at, path, "\"" + port.name + "\" is in group " + std::to_string(port.group) + " already",
                   "ports of one name in different groups");
      }
    }
  }

  void check_target(const target_config& target) {
    check_luns(target.luns, "target." + quoted_if_needed(target.name) + ".luns");
    for (std::size_t i = 0; i < target.access.size(); ++i) {
      const access_config& access = target.access[i];
      const std::string path = access_path(target.name, access.initiator);
      if (i > 0 && target.access[i - 1].initiator == access.initiator)
        complain(access.at, path, "stands there twice", "each initiator once; names differ by more than case");
      if (access.luns) check_luns(*access.luns, path + ".luns");
    }
  }

  void check_luns(const lun_map& luns, const std::string& path) {
    for (std::size_t i = 0; i < luns.size(); ++i) {
      const lun_config& lun = luns[i];
      const auto key = [&] { return path + "." + std::to_string(lun.lun); };
      if (i > 0 && luns[i - 1].lun == lun.lun)
        complain(lun.at, key(), "LUN " + std::to_string(lun.lun) + " stands there twice", "each LUN once");
      if (units_.find(lun.unit)) continue;
      dangling(lun.at, key(), lun.unit, "unit or store", unit_names());
    }
  }

  const model& model_;
  const known_types& known_;
  diagnostics& wrong_;
  const by_name<store_config> stores_;
  const by_name<unit_config> units_;
  std::map<std::string, std::vector<std::string>> cycles_;
  std::vector<std::string> store_names_, unit_names_;  // when they have been asked for
  unsigned guesses_left_ = 20;

  static constexpr std::size_t highest_tower = 32;
};

}  // namespace

void validate(const model& m, const known_types& known, diagnostics& wrong) {
  validator(m, known, wrong).run();
}

}  // namespace sluice::config
