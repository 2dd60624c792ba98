#include "config/schema/plan.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <unordered_map>

#include "config/schema/key_reader.hpp"
#include "config/schema/quantity.hpp"

namespace sluice::config {

namespace {

const access_config* find_access(const target_config& target, const std::string& initiator) {
  const auto at =
      std::lower_bound(target.access.begin(), target.access.end(), initiator,
                       [](const access_config& each, const std::string& name) { return each.initiator < name; });
  return at != target.access.end() && at->initiator == initiator ? &*at : nullptr;
}

bool same_but_luns(const access_config& a, const access_config& b) {
  return a.settings == b.settings && a.luns.has_value() == b.luns.has_value();
}

const lun_map no_luns;
const lun_map& luns_of(const access_config* access) {
  return access && access->luns ? *access->luns : no_luns;
}

/// " on 127.0.0.1:3260"; nothing for a port without addresses.
std::string listen_text(const port_config& port) {
  std::string out;
  for (const std::string& address : port.settings.list("listen")) out += (out.empty() ? " on " : ", ") + address;
  return out;
}

const port_config* find_port(const target_config* in, const port_config& who) {
  if (!in) return nullptr;
  for (const port_config& each : in->ports)
    if (each.same_identity(who)) return &each;
  return nullptr;
}

/// "a 1 -> 2, b none -> x"
class changes {
 public:
  void add(const std::string& key, const std::string& before, const std::string& after) {
    text_ += (text_.empty() ? " " : ", ") + key + " " + before + " -> " + after;
  }
  void compare(const char* key, bool before, bool after) {
    const auto word = [](bool v) { return v ? "true" : "false"; };
    if (before != after) add(key, word(before), word(after));
  }
  void compare(const char* key, const std::string& before, const std::string& after) {
    const auto word = [](const std::string& v) { return v.empty() ? std::string("none") : v; };
    if (before != after) add(key, word(before), word(after));
  }
  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

class planner {
 public:
  planner(const standing& from, const model& to, const known_types& known)
      : standing_(from),
        from_(from.file),
        to_(to),
        known_(known),
        old_stores_(from_.stores),
        new_stores_(to.stores),
        old_units_(from_.units),
        new_units_(to.units),
        old_targets_(from_.targets),
        new_targets_(to.targets) {}

  plan run() {
    compare_gateways();
    find_replaced();
    for (const store_config& store : to_.stores) settle_store(store);
    remove_stores();
    for (const unit_config& unit : to_.units) settle_unit(unit);
    for (const unit_config& unit : from_.units)
      if (!new_units_.find(unit.name)) add(action::remove_unit, "- unit " + unit.name).name = unit.name;
    for (const target_config& target : to_.targets) settle_target(target);
    remove_targets();
    for (const target_config& target : to_.targets) settle_ports(target);
    remove_ports();
    for (const store_config& store : to_.stores) compare_size(store);
    return std::move(plan_);
  }

 private:
  step& add(action what, std::string text) {
    plan_.steps.push_back({});
    plan_.steps.back().what = what;
    plan_.steps.back().text = std::move(text);
    return plan_.steps.back();
  }
  void refuse(std::string key, std::string reason) { plan_.refused.push_back({std::move(key), std::move(reason)}); }

  void compare_gateways() {
    const gateway_config &a = from_.gateway, &b = to_.gateway;
    const auto fixed = [this](const char* key, bool same) {
      if (!same) refuse(std::string("gateway.") + key, "a change needs a restart");
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
    if (from_.cluster != to_.cluster) refuse("cluster", "a change needs a restart");
    if (a.log != b.log || a.log_level != b.log_level) add(action::change_log, "~ gateway: log");
  }

  // -- stores ----------------------------------------------------------------------------------------------------

  /// Null when it is none.
  const key* live_key(const std::string& type, const std::string& name) const {
    const std::vector<key>* keys = find_keys(known_.stores, type);
    if (keys == nullptr) return nullptr;
    const auto found =
        std::find_if(keys->begin(), keys->end(), [&](const key& each) { return each.live && each.name == name; });
    return found == keys->end() ? nullptr : &*found;
  }

  /// compare_size() looks at the size; whether a medium may be made counts only when it is opened.
  static bool is_settled_apart(const std::string& name) { return name == "size" || name == "create"; }

  /// A store that stays but for its size, and for what can change while it runs.
  bool stays(const store_config& a, const store_config& b) const {
    if (a.type != b.type || a.over != b.over) return false;
    if (a.settings == b.settings) return true;
    const std::vector<std::string> changed = a.settings.differing(b.settings);
    return std::all_of(changed.begin(), changed.end(), [&](const std::string& name) {
      return is_settled_apart(name) || live_key(a.type, name) != nullptr;
    });
  }

  void find_replaced() {
    for (const store_config& now : to_.stores) {
      const store_config* old = old_stores_.find(now.name);
      if (old && !stays(*old, now)) replaced_.insert(now.name);
    }
    // What lies over a store that is opened anew is opened anew.
    for (std::size_t before = 0; before != replaced_.size();) {
      before = replaced_.size();
      for (const store_config& now : to_.stores)
        if (!now.over.empty() && old_stores_.find(now.name) && replaced_.contains(now.over)) replaced_.insert(now.name);
    }
  }

  bool is_fresh(const std::string& store) const { return replaced_.contains(store) || !old_stores_.find(store); }

  /// What lies below comes first.
  void settle_store(const store_config& store) {
    const store_config* old = old_stores_.find(store.name);
    const bool replaced = replaced_.contains(store.name);
    if (old && !replaced && old->settings == store.settings) return;
    if (!settled_.insert(store.name).second) return;
    if (const store_config* below = store.over.empty() ? nullptr : new_stores_.find(store.over)) settle_store(*below);
    if (!old) {
      std::string text = "+ store " + store.name + ": " + store.type;
      if (!store.over.empty()) text += " over " + store.over;
      if (store.settings.has("size")) text += ", " + format_size(store.settings.number("size", 0));
      add(action::add_store, text).name = store.name;
    } else if (replaced) {
      add(action::replace_store, "~ store " + store.name + ": opened anew:" + replacement(*old, store)).name =
          store.name;
    } else {
      change_store(*old, store);
    }
  }

  std::string replacement(const store_config& old, const store_config& now) const {
    changes told;
    told.compare("type", old.type, now.type);
    told.compare("over", old.over, now.over);
    if (old.type == now.type)
      for (const std::string& name : old.settings.differing(now.settings))
        if (name != "over")
          told.add(name, spelled(old.type, name, old.settings), spelled(now.type, name, now.settings));
    return told.empty() ? " store " + now.over + " below is" : told.text();
  }

  void change_store(const store_config& old, const store_config& now) {
    changes told;
    for (const std::string& name : old.settings.differing(now.settings))
      if (!is_settled_apart(name))
        told.add(name, spelled(old.type, name, old.settings), spelled(now.type, name, now.settings));
    if (!told.empty()) add(action::change_store, "~ store " + now.name + ":" + told.text()).name = now.name;
  }

  std::string spelled(const std::string& type, const std::string& name, const values& in) const {
    const std::vector<key>* keys = find_keys(known_.stores, type);
    if (keys != nullptr)
      for (const key& each : *keys)
        if (each.name == name) return spelled(each, in);
    return spelled(key{.name = name, .help = {}}, in);
  }
  static std::string spelled(const key& k, const values& in) {
    if (!in.has(k.name)) return k.otherwise.empty() ? "none" : k.otherwise;
    if (const std::string* text = in.text(k.name)) return *text;
    if (k.type == kind::ranges) return std::to_string(in.list(k.name).size()) + " ranges";
    if (k.type == kind::flag) return in.flag(k.name, false) ? "true" : "false";
    const std::uint64_t number = in.number(k.name, 0);
    if (k.type == kind::duration) return format_duration(number);
    return k.type == kind::size || k.name == "size" ? format_size(number) : std::to_string(number);
  }

  /// Those on top go first.
  void remove_stores() {
    for (const store_config& store : from_.stores)
      if (!store.over.empty() && !new_stores_.find(store.name)) uppers_[store.over].push_back(&store);
    for (const store_config& store : from_.stores)
      if (!new_stores_.find(store.name)) remove_store(store);
  }
  void remove_store(const store_config& store) {
    if (!settled_.insert(store.name).second) return;
    if (const auto over = uppers_.find(store.name); over != uppers_.end())
      for (const store_config* upper : over->second) remove_store(*upper);
    add(action::remove_store, "- store " + store.name).name = store.name;
  }

  /// What runs counts, not what the last file said. Only a command cuts a store.
  void compare_size(const store_config& now) {
    const store_config* old = old_stores_.find(now.name);
    if (!old || replaced_.contains(now.name) || !now.settings.has("size")) return;
    const std::uint64_t asked = now.settings.number("size", 0);
    const std::uint64_t said = old->settings.number("size", 0);
    const std::uint64_t runs = standing_.size_of ? standing_.size_of(now.name) : said;
    if (asked == runs || asked == 0 || runs == 0) return;
    const std::string sizes = format_size(runs) + " -> " + format_size(asked);
    const std::string key = "store." + now.name + ".size";
    if (asked > runs)
      add(action::resize_store, "~ store " + now.name + ": size " + sizes).name = now.name;
    else if (asked == said)
      plan_.warnings.push_back({key, "the file says " + format_size(asked) + ", the store has " + format_size(runs) +
                                         " and keeps them; write size = \"" + format_size(runs) + "\""});
    else
      refuse(key, sizes + " would lose data; `sluice unit resize --shrink` does it");
  }

  // -- units -----------------------------------------------------------------------------------------------------

  void settle_unit(const unit_config& unit) {
    const unit_config* old = old_units_.find(unit.name);
    if (!old) {
      add(action::add_unit, "+ unit " + unit.name + ": store " + unit.store).name = unit.name;
      return;
    }
    changes told;
    told.compare("thin", old->thin, unit.thin);
    told.compare("read_only", old->read_only, unit.read_only);
    told.compare("vendor", old->vendor, unit.vendor);
    told.compare("product", old->product, unit.product);
    told.compare("rotational", spelled(old->rotational), spelled(unit.rotational));
    for (const auto& [key, before, after] :
         {std::tuple{"naa", old->naa, unit.naa}, std::tuple{"serial", old->serial, unit.serial}})
      if (before != after)
        return refuse("unit." + unit.name + "." + key,
                      "cannot change while the unit runs: initiators would take it for another disk; remove the unit "
                      "from its targets first");
    const bool moves = old->store != unit.store || is_fresh(unit.store);
    if (old->block_size != unit.block_size) {
      if (!moves)
        return refuse("unit." + unit.name + ".block_size",
                      "cannot change while the unit runs; remove the unit from its targets first");
      told.add("block_size", std::to_string(old->block_size), std::to_string(unit.block_size));
    }
    if (moves) {
      const std::string where = old->store == unit.store ? "goes over to store " + unit.store + " as it is opened anew"
                                                         : "goes over from store " + old->store + " to " + unit.store;
      add(action::replace_unit, "~ unit " + unit.name + ": " + where + (told.empty() ? "" : ";" + told.text())).name =
          unit.name;
    } else if (!told.empty()) {
      add(action::change_unit, "~ unit " + unit.name + ":" + told.text()).name = unit.name;
    }
  }

  static std::string spelled(const std::optional<bool>& flag) { return !flag ? "" : *flag ? "true" : "false"; }

  // -- targets ---------------------------------------------------------------------------------------------------

  void settle_target(const target_config& now) {
    const target_config* old = old_targets_.find(now.name);
    if (!old) add(action::add_target, "+ target " + now.name).target = now.name;
    if (old && old->open != now.open)
      add(action::change_target, "~ target " + now.name + ": open " + (now.open ? "true" : "false")).target = now.name;
    for (const access_config& access : now.access) {
      const access_config* before = old ? find_access(*old, access.initiator) : nullptr;
      if (!before)
        add_access_step(action::add_access, "+ ", now.name, access.initiator, "");
      else if (!same_but_luns(*before, access))
        add_access_step(action::change_access, "~ ", now.name, access.initiator, "");
      else if (standing_.secrets_differ && standing_.secrets_differ(now.name, access))
        add_access_step(action::change_access, "~ ", now.name, access.initiator, ": another secret in its file");
    }
    if (old)
      for (const access_config& access : old->access)
        if (!find_access(now, access.initiator))
          add_access_step(action::remove_access, "- ", now.name, access.initiator, "");
    settle_luns(now.name, "", old ? old->luns : no_luns, now.luns);
    for (const access_config& access : now.access)
      settle_luns(now.name, access.initiator, luns_of(old ? find_access(*old, access.initiator) : nullptr),
                  luns_of(&access));
  }

  void add_access_step(action what, const std::string& sign, const std::string& target, const std::string& initiator,
                       const std::string& more) {
    step& s = add(what, sign + "target " + target + ": access of " + initiator + more);
    s.target = target;
    s.initiator = initiator;
  }

  /// Both are sorted by LUN.
  void settle_luns(const std::string& target, const std::string& initiator, const lun_map& old, const lun_map& now) {
    auto before = old.begin();
    auto after = now.begin();
    while (before != old.end() || after != now.end()) {
      if (after == now.end() || (before != old.end() && before->lun < after->lun)) {
        add_lun(action::unmap_lun, "- ", target, initiator, *before, "");
        ++before;
      } else if (before == old.end() || after->lun < before->lun) {
        add_lun(action::map_lun, "+ ", target, initiator, *after, "");
        ++after;
      } else {
        if (before->unit != after->unit) add_lun(action::change_lun, "~ ", target, initiator, *after, before->unit);
        ++before, ++after;
      }
    }
  }

  /// A cache that is put over a unit's store, or taken away, makes another unit where the LUN names the store.
  std::string how_to_keep(const std::string& before, const lun_config& now) const {
    const unit_config *old = old_units_.find(before), *unit = new_units_.find(now.unit);
    if (!old || !unit || new_units_.find(before)) return {};
    const store_config *below = bottom(old->store, old_stores_), *same = bottom(unit->store, new_stores_);
    if (!below || !same || below->name != same->name || is_fresh(same->name)) return {};
    return " over the same blocks; to keep the disk: " + std::to_string(now.lun) + " = \"" + before +
           "\", and store = \"" + unit->store + "\" under [unit." + quoted_if_needed(before) + "]" +
           (unit->implied ? "" : " in place of [unit." + quoted_if_needed(unit->name) + "]");
  }

  static const store_config* bottom(const std::string& top, const by_name<store_config>& stores) {
    const store_config* at = stores.find(top);
    while (at && !at->over.empty()) at = stores.find(at->over);
    return at;
  }

  void add_lun(action what, const std::string& sign, const std::string& target, const std::string& initiator,
               const lun_config& lun, const std::string& before) {
    step& s = add(what, sign + "target " + target + (initiator.empty() ? "" : ", " + initiator) + ": LUN " +
                            std::to_string(lun.lun) + " = " +
                            (before.empty() ? lun.unit
                                            : before + " -> " + lun.unit + ": another disk behind the same LUN" +
                                                  how_to_keep(before, lun)));
    s.name = lun.unit;
    s.target = target;
    s.initiator = initiator;
    s.lun = lun.lun;
  }

  void remove_targets() {
    for (const target_config& old : from_.targets)
      if (!new_targets_.find(old.name)) add(action::remove_target, "- target " + old.name).target = old.name;
  }

  step& add_port_step(action what, const std::string& sign, const target_config& target, const port_config& port,
                      const std::string& more) {
    step& s = add(what, sign + "target " + target.name + ": port " + port.fabric + " " + port.name +
                            (port.group == 1 ? "" : ", group " + std::to_string(port.group)) + more);
    s.target = target.name;
    s.name = port.name;
    s.fabric = port.fabric;
    s.group = port.group;
    return s;
  }

  void settle_ports(const target_config& target) {
    const target_config* old = old_targets_.find(target.name);
    for (const port_config& port : target.ports) {
      const port_config* before = find_port(old, port);
      if (!before)
        add_port_step(action::add_port, "+ ", target, port, listen_text(port));
      else if (!(*before == port))
        add_port_step(action::change_port, "~ ", target, port, ":" + port_changes(*before, port));
    }
  }

  static std::string port_changes(const port_config& old, const port_config& now) {
    changes told;
    for (const std::string& name : old.settings.differing(now.settings))
      told.add(name, port_value(old.settings, name), port_value(now.settings, name));
    return told.text();
  }
  static std::string port_value(const values& in, const std::string& name) {
    if (!in.has(name)) return "none";
    if (const std::string* text = in.text(name)) return *text;
    std::string all;
    for (const std::string& each : in.list(name)) all += (all.empty() ? "" : ", ") + each;
    if (!all.empty()) return all;
    return in.flag(name, false) ? "true" : std::to_string(in.number(name, 0));
  }

  void remove_ports() {
    for (const target_config& target : from_.targets) {
      const target_config* now = new_targets_.find(target.name);
      for (const port_config& port : target.ports)
        if (!find_port(now, port)) add_port_step(action::remove_port, "- ", target, port, listen_text(port));
    }
  }

  const standing& standing_;
  const model &from_, &to_;
  const known_types& known_;
  const by_name<store_config> old_stores_, new_stores_;
  const by_name<unit_config> old_units_, new_units_;
  const by_name<target_config> old_targets_, new_targets_;
  std::set<std::string> replaced_, settled_;
  std::unordered_map<std::string_view, std::vector<const store_config*>> uppers_;  // of those that go
  plan plan_;
};

}  // namespace

const char* to_string(action a) {
  switch (a) {
    case action::change_log:
      return "change_log";
    case action::add_store:
      return "add_store";
    case action::change_store:
      return "change_store";
    case action::replace_store:
      return "replace_store";
    case action::remove_store:
      return "remove_store";
    case action::resize_store:
      return "resize_store";
    case action::add_unit:
      return "add_unit";
    case action::change_unit:
      return "change_unit";
    case action::replace_unit:
      return "replace_unit";
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
    case action::change_lun:
      return "change_lun";
    case action::unmap_lun:
      return "unmap_lun";
    case action::add_port:
      return "add_port";
    case action::change_port:
      return "change_port";
    case action::remove_port:
      return "remove_port";
  }
  return "";
}

plan make_plan(const standing& from, const model& to, const known_types& known) {
  return planner(from, to, known).run();
}

std::string to_text(const plan& p) {
  std::string out;
  for (const step& s : p.steps) out += s.text + "\n";
  for (const refusal& r : p.refused) out += "! " + r.key + ": " + r.reason + "\n";
  for (const warning& w : p.warnings) out += "? " + w.key + ": " + w.text + "\n";
  return out;
}

}  // namespace sluice::config
