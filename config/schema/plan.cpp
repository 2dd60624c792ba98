#include "config/schema/plan.hpp"

#include <algorithm>
#include <set>

#include "config/schema/quantity.hpp"

namespace sluice::config {

namespace {

bool is_medium(const std::string& key) {
  return key == "path" || key.ends_with(".path");
}

const lun_config* find_lun(const lun_map& luns, std::uint16_t lun) {
  for (const lun_config& each : luns)
    if (each.lun == lun) return &each;
  return nullptr;
}

const access_config* find_access(const target_config& target, const std::string& initiator) {
  for (const access_config& each : target.access)
    if (each.initiator == initiator) return &each;
  return nullptr;
}

bool same_but_luns(const access_config& a, const access_config& b) {
  return a.settings == b.settings && a.luns.has_value() == b.luns.has_value();
}

const lun_map no_luns;
const lun_map& luns_of(const access_config* access) {
  return access && access->luns ? *access->luns : no_luns;
}

std::string listen_text(const port_config& port) {
  std::string out;
  for (const std::string& address : port.settings.list("listen")) out += (out.empty() ? "" : ", ") + address;
  return out;
}

class planner {
 public:
  planner(const model& from, const model& to, const known_types& known) : from_(from), to_(to), known_(known) {}

  plan run() {
    compare_gateways();
    find_replaced();
    add_stores(true);
    resize_stores();
    change_stores();
    remove_ports();
    unmap_luns();
    settle_access();
    remove_targets();
    remove_units();
    remove_stores();
    add_stores(false);
    settle_units();
    map_luns();
    add_ports();
    return std::move(plan_);
  }

 private:
  step& add(action what, std::string text) {
    plan_.steps.push_back({});
    plan_.steps.back().what = what;
    plan_.steps.back().text = std::move(text);
    return plan_.steps.back();
  }

  void compare_gateways() {
    const gateway_config &a = from_.gateway, &b = to_.gateway;
    const auto fixed = [this](const char* key, bool same) {
      if (!same) plan_.refused.push_back({std::string("gateway.") + key, "a change needs a restart"});
    };
    fixed("name", a.name == b.name);
    fixed("state_dir", a.state_dir == b.state_dir);
    fixed("reactors", a.reactor_count == b.reactor_count && a.cores == b.cores);
    fixed("control", a.control == b.control);
    fixed("http", a.http == b.http);
    fixed("buffers", a.buffers_bytes == b.buffers_bytes);
    fixed("max_connections", a.max_connections == b.max_connections);
    fixed("max_connections_per_address", a.max_connections_per_address == b.max_connections_per_address);
    fixed("login_timeout", a.login_timeout_ns == b.login_timeout_ns);
    fixed("max_tasks", a.max_tasks == b.max_tasks);
    if (a.log != b.log || a.log_level != b.log_level) add(action::change_log, "~ gateway: log");
  }

  /// A store that stays but for its size, which only grows, and for what can change while it runs.
  bool stays(const store_config& a, const store_config& b) const {
    const std::vector<std::string> changed = a.settings.differing(b.settings);
    return a.type == b.type && a.over == b.over &&
           std::all_of(changed.begin(), changed.end(), [&](const std::string& name) {
             return live_key(a.type, name) != nullptr ||
                    (name == "size" && a.settings.has("size") && b.settings.has("size"));
           });
  }

  /// Null when it is none.
  const key* live_key(const std::string& type, const std::string& name) const {
    const std::vector<key>* keys = find_keys(known_.stores, type);
    if (keys == nullptr) return nullptr;
    const auto found =
        std::find_if(keys->begin(), keys->end(), [&](const key& each) { return each.live && each.name == name; });
    return found == keys->end() ? nullptr : &*found;
  }

  void find_replaced() {
    for (const store_config& old : from_.stores) {
      const store_config* now = find_named(to_.stores, old.name);
      if (now && !stays(old, *now)) replaced_stores_.insert(old.name);
    }
    // What lies over a store that goes away must let go of it.
    for (std::size_t before = SIZE_MAX; before != replaced_stores_.size();) {
      before = replaced_stores_.size();
      for (const store_config& old : from_.stores)
        if (find_named(to_.stores, old.name) && replaced_stores_.contains(old.over)) replaced_stores_.insert(old.name);
    }
    for (const unit_config& old : from_.units) {
      const unit_config* now = find_named(to_.units, old.name);
      if (now && (old.store != now->store || old.block_size != now->block_size || replaced_stores_.contains(old.store)))
        replaced_units_.insert(old.name);
    }
  }

  bool store_goes(const std::string& name) const {
    return replaced_stores_.contains(name) || !find_named(to_.stores, name);
  }
  bool unit_goes(const std::string& name) const {
    return replaced_units_.contains(name) || !find_named(to_.units, name);
  }
  bool store_comes(const std::string& name) const {
    return replaced_stores_.contains(name) || !find_named(from_.stores, name);
  }
  bool unit_comes(const std::string& name) const {
    return replaced_units_.contains(name) || !find_named(from_.units, name);
  }

  /// New, over new stores only, on a medium that no store lets go of: can be opened before anything else.
  bool is_independent(const store_config& store) const {
    if (find_named(from_.stores, store.name)) return false;
    for (const std::string& path : media_of(store))
      for (const store_config& old : from_.stores)
        if (const std::vector<std::string> media = media_of(old); std::count(media.begin(), media.end(), path) > 0)
          return false;
    const store_config* below = store.over.empty() ? nullptr : find_named(to_.stores, store.over);
    return below == nullptr || is_independent(*below);
  }
  static std::vector<std::string> media_of(const store_config& store) {
    std::vector<std::string> out;
    for (const std::string& key : store.settings.names())
      if (const std::string* path = is_medium(key) ? store.settings.text(key) : nullptr) out.push_back(*path);
    return out;
  }

  void add_stores(bool independent) {
    for (const store_config& store : to_.stores)
      if (store_comes(store.name) && is_independent(store) == independent) add_store_after_below(store);
  }

  void add_store_after_below(const store_config& store) {
    if (!added_stores_.insert(store.name).second) return;
    if (const store_config* below = find_named(to_.stores, store.over); below && store_comes(below->name))
      add_store_after_below(*below);
    std::string text = "+ store " + store.name + ": " + store.type;
    if (!store.over.empty()) text += " over " + store.over;
    if (store.settings.has("size")) text += ", " + format_size(store.settings.number("size", 0));
    add(action::add_store, text).name = store.name;
  }

  void resize_stores() {
    for (const store_config& old : from_.stores) {
      const store_config* now = find_named(to_.stores, old.name);
      if (!now || replaced_stores_.contains(old.name)) continue;
      const std::uint64_t before = old.settings.number("size", 0), after = now->settings.number("size", 0);
      const std::string sizes = format_size(before) + " -> " + format_size(after);
      if (after > before) add(action::resize_store, "~ store " + old.name + ": size " + sizes).name = old.name;
      if (after < before)
        plan_.refused.push_back(
            {"store." + old.name + ".size", sizes + " would lose data; `sluice unit resize --shrink` does it"});
    }
  }

  void change_stores() {
    for (const store_config& old : from_.stores) {
      const store_config* now = find_named(to_.stores, old.name);
      if (!now || replaced_stores_.contains(old.name)) continue;
      std::string changes;
      for (const std::string& name : old.settings.differing(now->settings))
        if (const key* k = live_key(old.type, name))
          changes += (changes.empty() ? " " : ", ") + name + " " + spelled(*k, old.settings) + " -> " +
                     spelled(*k, now->settings);
      if (!changes.empty()) add(action::change_store, "~ store " + old.name + ":" + changes).name = old.name;
    }
  }

  static std::string spelled(const key& k, const values& in) {
    if (!in.has(k.name)) return k.otherwise.empty() ? "none" : k.otherwise;
    if (const std::string* text = in.text(k.name)) return *text;
    if (k.type == kind::ranges) return std::to_string(in.list(k.name).size()) + " ranges";
    const std::uint64_t number = in.number(k.name, 0);
    return k.type == kind::size ? format_size(number) : std::to_string(number);
  }

  void remove_stores() {
    std::set<std::string> removed;
    // Those on top go first: a store goes when nothing that goes lies over it any more.
    for (bool progress = true; progress;) {
      progress = false;
      for (const store_config& store : from_.stores) {
        if (!store_goes(store.name) || removed.contains(store.name)) continue;
        const bool covered = std::any_of(from_.stores.begin(), from_.stores.end(), [&](const store_config& upper) {
          return upper.over == store.name && !removed.contains(upper.name) && store_goes(upper.name);
        });
        if (covered) continue;
        removed.insert(store.name);
        add(action::remove_store, "- store " + store.name).name = store.name;
        progress = true;
      }
    }
  }

  void remove_units() {
    for (const unit_config& unit : from_.units)
      if (unit_goes(unit.name)) add(action::remove_unit, "- unit " + unit.name).name = unit.name;
  }

  void settle_units() {
    for (const unit_config& unit : to_.units) {
      if (unit_comes(unit.name)) {
        add(action::add_unit, "+ unit " + unit.name + ": store " + unit.store).name = unit.name;
        continue;
      }
      const unit_config& old = *find_named(from_.units, unit.name);
      std::string changes;
      const auto compare = [&changes](const char* key, bool before, bool after) {
        const auto word = [](bool v) { return v ? "true" : "false"; };
        if (before != after)
          changes += std::string(changes.empty() ? " " : ", ") + key + " " + word(before) + " -> " + word(after);
      };
      compare("thin", old.thin, unit.thin);
      compare("read_only", old.read_only, unit.read_only);
      if (!changes.empty()) add(action::change_unit, "~ unit " + unit.name + ":" + changes).name = unit.name;
    }
  }

  void unmap(const std::string& target, const std::string& initiator, const lun_map& old, const lun_map& now) {
    for (const lun_config& lun : old) {
      const lun_config* same = find_lun(now, lun.lun);
      if (same && same->unit == lun.unit && !unit_goes(lun.unit)) continue;
      add_lun(action::unmap_lun, "- ", target, initiator, lun);
    }
  }

  void map(const std::string& target, const std::string& initiator, const lun_map& old, const lun_map& now) {
    for (const lun_config& lun : now) {
      const lun_config* same = find_lun(old, lun.lun);
      if (same && same->unit == lun.unit && !unit_goes(lun.unit)) continue;
      add_lun(action::map_lun, "+ ", target, initiator, lun);
    }
  }

  void add_lun(action what, const std::string& sign, const std::string& target, const std::string& initiator,
               const lun_config& lun) {
    step& s = add(what, sign + "target " + target + (initiator.empty() ? "" : ", " + initiator) + ": LUN " +
                            std::to_string(lun.lun) + " = " + lun.unit);
    s.name = lun.unit;
    s.target = target;
    s.initiator = initiator;
    s.lun = lun.lun;
  }

  void unmap_luns() {
    for (const target_config& old : from_.targets) {
      const target_config* now = find_named(to_.targets, old.name);
      unmap(old.name, "", old.luns, now ? now->luns : no_luns);
      for (const access_config& access : old.access)
        unmap(old.name, access.initiator, luns_of(&access),
              luns_of(now ? find_access(*now, access.initiator) : nullptr));
    }
  }

  void map_luns() {
    for (const target_config& now : to_.targets) {
      const target_config* old = find_named(from_.targets, now.name);
      map(now.name, "", old ? old->luns : no_luns, now.luns);
      for (const access_config& access : now.access)
        map(now.name, access.initiator, luns_of(old ? find_access(*old, access.initiator) : nullptr), luns_of(&access));
    }
  }

  void add_access_step(action what, const std::string& sign, const std::string& target, const std::string& initiator) {
    step& s = add(what, sign + "target " + target + ": access of " + initiator);
    s.target = target;
    s.initiator = initiator;
  }

  /// Tables come before tables go: a target whose last table went would be open to everybody.
  void settle_access() {
    for (const target_config& now : to_.targets) {
      const target_config* old = find_named(from_.targets, now.name);
      if (!old) add(action::add_target, "+ target " + now.name).target = now.name;
      for (const access_config& access : now.access) {
        const access_config* before = old ? find_access(*old, access.initiator) : nullptr;
        if (!before)
          add_access_step(action::add_access, "+ ", now.name, access.initiator);
        else if (!same_but_luns(*before, access))
          add_access_step(action::change_access, "~ ", now.name, access.initiator);
      }
      if (old && old->open != now.open)
        add(action::change_target, "~ target " + now.name + ": open " + (now.open ? "true" : "false")).target =
            now.name;
    }
    for (const target_config& old : from_.targets) {
      const target_config* now = find_named(to_.targets, old.name);
      for (const access_config& access : old.access)
        if (now && !find_access(*now, access.initiator))
          add_access_step(action::remove_access, "- ", old.name, access.initiator);
    }
  }

  void remove_targets() {
    for (const target_config& old : from_.targets)
      if (!find_named(to_.targets, old.name)) add(action::remove_target, "- target " + old.name).target = old.name;
  }

  void ports(action what, const std::string& sign, const model& of, const model& other) {
    for (const target_config& target : of.targets) {
      const target_config* there = find_named(other.targets, target.name);
      for (const port_config& port : target.ports) {
        if (there && std::find(there->ports.begin(), there->ports.end(), port) != there->ports.end()) continue;
        step& s = add(what, sign + "target " + target.name + ": port " + port.fabric + " " + port.name + " on " +
                                listen_text(port));
        s.target = target.name;
        s.name = port.name;
        s.fabric = port.fabric;
        s.group = port.group;
      }
    }
  }
  void remove_ports() { ports(action::remove_port, "- ", from_, to_); }
  void add_ports() { ports(action::add_port, "+ ", to_, from_); }

  const model &from_, &to_;
  const known_types& known_;
  std::set<std::string> replaced_stores_, replaced_units_, added_stores_;
  plan plan_;
};

}  // namespace

const char* to_string(action a) {
  switch (a) {
    case action::add_store:
      return "add_store";
    case action::resize_store:
      return "resize_store";
    case action::change_store:
      return "change_store";
    case action::remove_store:
      return "remove_store";
    case action::add_unit:
      return "add_unit";
    case action::change_unit:
      return "change_unit";
    case action::remove_unit:
      return "remove_unit";
    case action::add_target:
      return "add_target";
    case action::change_target:
      return "change_target";
    case action::remove_target:
      return "remove_target";
    case action::add_access:
      return "add_access";
    case action::change_access:
      return "change_access";
    case action::remove_access:
      return "remove_access";
    case action::map_lun:
      return "map_lun";
    case action::unmap_lun:
      return "unmap_lun";
    case action::add_port:
      return "add_port";
    case action::remove_port:
      return "remove_port";
    case action::change_log:
      return "change_log";
  }
  return "";
}

plan make_plan(const model& from, const model& to, const known_types& known) {
  return planner(from, to, known).run();
}

std::string to_text(const plan& p) {
  std::string out;
  for (const step& s : p.steps) out += s.text + "\n";
  for (const refusal& r : p.refused) out += "! " + r.key + ": " + r.reason + "\n";
  return out;
}

}  // namespace sluice::config
