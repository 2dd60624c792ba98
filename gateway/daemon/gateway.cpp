#include "gateway/daemon/gateway.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "actors/observe/log.hpp"
#include "config/toml/load.hpp"
#include "gateway/daemon/kept_witness.hpp"

namespace sluice::daemon {

namespace {

caf::actor as_actor(const caf::strong_actor_ptr& handle) {
  return caf::actor_cast<caf::actor>(handle);
}

/// The settings of a store apart from its size, which resize() changes.
bool same_but_for_size(const config::store_config& a, const config::store_config& b) {
  const std::vector<std::string> differing = a.settings.differing(b.settings);
  return std::all_of(differing.begin(), differing.end(), [](const std::string& key) { return key == "size"; });
}

}  // namespace

result<std::unique_ptr<gateway>> gateway::make(const parts& made_of) {
  auto numbers = relative_ports::load(made_of.state);
  if (!numbers) return tl::unexpected(numbers.error());
  auto authority = state::local_authority::make(made_of.state);
  if (!authority) return tl::unexpected(authority.error());
  return std::unique_ptr<gateway>(new gateway(made_of, std::move(*numbers), std::move(*authority)));
}

gateway::gateway(const parts& made_of, relative_ports numbers, std::unique_ptr<state::authority> authority)
    : parts_(made_of), authority_(std::move(authority)), numbers_(std::move(numbers)) {
  runtime::core& first = *parts_.cores.front();
  registry_ = runtime::spawn_on<nexus::registry_actor>(first);
  std::vector<caf::actor> actors;
  for (runtime::core* core : parts_.cores) {
    core_actors_.push_back(runtime::spawn_on<nexus::core_actor>(*core, core->loop(), as_actor(registry_.handle)));
    actors.push_back(as_actor(core_actors_.back().handle));
    doors_.push_back({core, &core_actors_.back()->gateway()});
  }
  first.call([&] { registry_->connect(actors); });
}

gateway::~gateway() {
  SLUICE_CHECK(units_.empty() && ports_.empty());
  for (auto& actor : core_actors_) caf::anon_send_exit(actor.handle, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(registry_.handle, caf::exit_reason::user_shutdown);
}

result<void> gateway::apply(const config::model& wanted) {
  draft made;
  if (auto ready = prepare(wanted, made); !ready) {
    discard(made);
    return ready;
  }
  auto picture = picture_of(wanted, made);
  if (!picture) {
    discard(made);
    return tl::unexpected(picture.error());
  }
  commit(wanted, made, std::move(*picture));
  return {};
}

result<void> gateway::prepare(const config::model& wanted, draft& made) {
  if (auto done = open_stores(wanted, made); !done) return done;
  if (auto done = hand_over(made); !done) return done;
  if (auto done = check_marks(wanted, made); !done) return done;
  if (auto done = start_units(wanted, made); !done) return done;
  if (auto done = start_ports(wanted, made); !done) return done;
  if (auto done = forget_witnesses(wanted, made); !done) return done;
  return resize_stores(wanted, made);  // last: the only step that an initiator could notice
}

result<void> gateway::open_stores(const config::model& wanted, draft& made) {
  for (const config::store_config& config : wanted.stores)
    if (auto opened = open_store(wanted, config, made); !opened) return opened;
  return {};
}

result<void> gateway::open_store(const config::model& wanted, const config::store_config& config, draft& made) {
  if (made.stores.contains(config.name)) return {};
  // A tier follows when the store below it is opened anew.
  bool below_is_new = false;
  if (!config.over.empty()) {
    if (auto below = open_store(wanted, *config::find_named(wanted.stores, config.over), made); !below) return below;
    const auto running = stores_.find(config.over);
    below_is_new = running == stores_.end() || made.stores.at(config.over) != running->second;
  }
  if (!below_is_new) {
    const auto stays = keep_store(config, made);
    if (!stays) return fail(stays.error().code, "store." + config.name + ": " + stays.error().message);
    if (*stays) return {};
  }
  const store::factory* factory = parts_.stores.find(config.type);
  if (!factory)
    return fail(errc::unsupported, "store." + config.name + ": no store type '" + config.type + "' in this build");
  auto opened = factory->open(config.settings, parts_.cores.front()->loop(),
                              [&](const std::string& name) { return made.stores.at(name); });
  if (!opened) return fail(opened.error().code, "store." + config.name + ": " + opened.error().message);
  if (config.over.empty() && (*opened)->describe().keeps_data)
    (*opened)->keep_witness_in(std::make_shared<kept_witness>(parts_.state, config));
  if (parts_.medium_changed) (*opened)->on_change(parts_.medium_changed);
  // Until commit() others may write to what lies below it.
  if (!stores_.empty()) (*opened)->hand_over();
  made.stores[config.name] = std::move(*opened);
  return {};
}

/// Whether the store of that name goes on, with other settings if need be; false: it has to be opened anew.
result<bool> gateway::keep_store(const config::store_config& config, draft& made) {
  const config::store_config* before = config::find_named(model_.stores, config.name);
  if (!before || before->type != config.type || before->over != config.over) return false;
  const std::shared_ptr<store::store>& running = stores_.at(config.name);
  if (!same_but_for_size(*before, config)) {
    auto ready = running->prepare_settings(config.settings);
    if (!ready) return tl::unexpected(ready.error());
    if (!*ready) return false;
    if (ready->after_hand_over) made.emptied.push_back(config.name);
    made.settings.push_back(std::move(*ready));
  }
  made.stores[config.name] = running;
  return true;
}

/// Stores that leave, or change what they hold data in, bring below what only they hold, so that whoever comes after
/// them finds all of it.
result<void> gateway::hand_over(draft& made) {
  for (const auto& [name, medium] : stores_) {
    const auto stays = made.stores.find(name);
    const bool leaves = stays == made.stores.end() || stays->second != medium;
    if (!leaves && std::count(made.emptied.begin(), made.emptied.end(), name) == 0) continue;
    if (auto done = hand_over(name, made); !done)
      return fail(done.error().code,
                  "store." + name + ": cannot be " + (leaves ? "taken away" : "changed") + ": " + done.error().message);
  }
  return {};
}

result<void> gateway::hand_over(const std::string& name, draft& made) {
  const std::shared_ptr<store::store>& medium = made.handing_over.emplace_back(stores_.at(name));
  medium->begin_hand_over();
  result<void> done;
  const auto is_over = [&] {
    done = medium->handed_over();
    return done || done.error().code != errc::busy;
  };
  if (wait_until(is_over, std::chrono::minutes(5))) return done;
  return fail(errc::timeout, done.error().message);
}

/// What initiators wrote and only memory holds gets below before the gateway ends, if the media take it within a
/// minute.
void gateway::empty_memory() {
  struct one {
    const std::string& name;
    store::store& medium;
    std::uint64_t mark;
  };
  std::vector<one> all;
  for (const auto& [name, medium] : stores_)
    if (medium->describe().volatile_cache) all.push_back({name, *medium, medium->destage()});
  const auto is_below = [](const one& each) { return each.medium.undestaged_bytes(each.mark) == 0; };
  if (wait_until([&] { return std::all_of(all.begin(), all.end(), is_below); }, std::chrono::minutes(1))) return;
  for (const one& each : all)
    if (!is_below(each))
      SLUICE_LOG(error, "gateway", "the store below does not take what memory holds: it is lost", {"store", each.name},
                 {"bytes", each.medium.undestaged_bytes(each.mark)}, {"why", each.medium.health()});
}

bool gateway::wait_until(const std::function<bool()>& so, std::chrono::seconds patience) {
  // By the loops' clock, which is not always the system's.
  reactor::loop& clock = parts_.cores.front()->loop();
  const std::uint64_t limit_ns = clock.now_ns() + std::chrono::nanoseconds(patience).count();
  while (!so()) {
    if (clock.now_ns() >= limit_ns) return false;
    parts_.wait ? parts_.wait() : std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// A medium that lacks data is used by nobody but the store that holds them. Who uses it already goes on: an apply does
/// not ask media that it does not touch, which may be silent.
result<void> gateway::check_marks(const config::model& wanted, const draft& made) const {
  const auto check = [&](const std::string& user, const std::string& used, const std::string& holder) -> result<void> {
    const auto mark = made.stores.at(used)->read_mark();
    if (!mark && mark.error().code == errc::unsupported) return {};
    if (!mark) return fail(mark.error().code, user + ": store." + used + ": " + mark.error().message);
    if (mark->holder.empty() || mark->holder == holder) return {};
    return fail(errc::busy, user + ": the medium of store." + used + " lacks data that are in " + mark->holder +
                                ": use it through that cache, or give them up with: sluice cache resolve --store " +
                                used + " --config FILE --discard");
  };
  for (const config::unit_config& unit : wanted.units) {
    const auto running = units_.find(unit.name);
    if (running != units_.end() && running->second.medium == made.stores.at(unit.store)) continue;
    if (auto free = check("unit." + unit.name, unit.store, {}); !free) return free;
  }
  for (const config::store_config& store : wanted.stores) {
    const auto running = stores_.find(store.name);
    const auto& comes = made.stores.at(store.name);
    if (store.over.empty() || (running != stores_.end() && running->second == comes)) continue;
    if (auto free = check("store." + store.name, store.over, comes->holder()); !free) return free;
  }
  return {};
}

/// Flash that was told of every write to a medium is not told of those of a unit that uses the medium itself.
result<void> gateway::forget_witnesses(const config::model& wanted, const draft& made) const {
  for (const config::unit_config& unit : wanted.units) {
    store::store& medium = *made.stores.at(unit.store);
    const auto running = units_.find(unit.name);
    if ((running != units_.end() && running->second.medium.get() == &medium) || medium.describe().read_only) continue;
    const auto named = medium.read_witness();
    if (named ? *named == 0 : named.error().code == errc::unsupported) continue;
    const auto forgotten = named ? medium.write_witness(0) : tl::unexpected(named.error());
    if (!forgotten)
      return fail(forgotten.error().code,
                  "unit." + unit.name + ": store." + unit.store + ": " + forgotten.error().message);
  }
  return {};
}

result<void> gateway::resize_stores(const config::model& wanted, draft& made) {
  for (const config::store_config& config : wanted.stores) {
    const auto running = stores_.find(config.name);
    if (running == stores_.end() || made.stores.at(config.name) != running->second) continue;
    const std::uint64_t size = config.settings.number("size", 0);
    const std::uint64_t before = running->second->describe().size_bytes;
    if (size == 0 || size == before) continue;
    // A medium that grew elsewhere is not cut because a file that says nothing new is applied.
    const config::store_config* last = config::find_named(model_.stores, config.name);
    if (size < before && last && last->settings.number("size", 0) == size) continue;
    if (auto done = running->second->resize(size); !done)
      return fail(done.error().code, "store." + config.name + ".size: " + done.error().message);
    made.resized.emplace_back(config.name, before);
  }
  return {};
}

result<void> gateway::start_units(const config::model& wanted, draft& made) {
  for (const config::unit_config& config : wanted.units) {
    const std::shared_ptr<store::store>& medium = made.stores.at(config.store);
    const auto running = units_.find(config.name);
    if (running != units_.end() && running->second.medium == medium &&
        running->second.config.block_size == config.block_size)
      continue;
    if (running != units_.end() && running->second.medium == medium)
      return fail(errc::invalid_argument,
                  "unit." + config.name +
                      ".block_size: cannot change while the unit runs; remove the unit from its "
                      "targets first");
    runtime::core& home = *parts_.cores[next_home_++ % parts_.cores.size()];
    const bool replaces = running != units_.end();
    if (replaces) {
      made.frozen.push_back(config.name);
      freeze_unit(running->second);
    }
    auto started = start_unit(config, medium, parts_.cores, home, {*authority_, parts_.state}, replaces);
    if (!started) return fail(started.error().code, "unit." + config.name + ": " + started.error().message);
    made.units[config.name] = std::move(*started);
  }
  return {};
}

result<port::running_fabric*> gateway::fabric_named(const std::string& name, const config::gateway_config& bounds) {
  std::unique_ptr<port::running_fabric>& running = fabrics_[name];
  const port::fabric* fabric = parts_.fabrics.find(name);
  if (!fabric) return fail(errc::unsupported, "no fabric '" + name + "' in this build");
  if (!running)
    running = fabric->start(
        {bounds.max_connections, bounds.login_timeout_ns, bounds.max_tasks, bounds.max_connections_per_address},
        doors_);
  return running.get();
}

gateway::running_port* gateway::find_port(const config::port_config& identity) {
  const auto found = std::find_if(ports_.begin(), ports_.end(),
                                  [&](const running_port& port) { return port.config.same_identity(identity); });
  return found == ports_.end() ? nullptr : &*found;
}

result<void> gateway::start_ports(const config::model& wanted, draft& made) {
  for (const config::target_config& target : wanted.targets)
    for (const config::port_config& config : target.ports)
      if (auto done = start_port(wanted, target, config, made); !done)
        return fail(done.error().code, config.name + ": " + done.error().message);
  return {};
}

result<void> gateway::start_port(const config::model& wanted, const config::target_config& target,
                                 const config::port_config& config, draft& made) {
  running_port* running = find_port(config);
  if (!running) {
    const port::port_id id{config.fabric, config.name, config.group};
    const auto fabric = fabric_named(config.fabric, wanted.gateway);
    if (!fabric) return tl::unexpected(fabric.error());
    const auto number = numbers_.of(id);
    if (!number) return tl::unexpected(number.error());
    auto opened = (*fabric)->open(config);
    if (!opened) return tl::unexpected(opened.error());
    made.ports.push_back({config, target.name, *number, std::move(*opened)});
    return {};
  }
  if (running->target != target.name)
    return fail(errc::busy,
                "is a port of target " + running->target + "; remove it there in one step and add it here in the next");
  if (running->config == config) return {};
  auto change = running->port->prepare(config);
  if (!change) return tl::unexpected(change.error());
  made.changed_ports.push_back({config, std::move(*change)});
  return {};
}

result<access::directory> gateway::picture_of(const config::model& wanted, const draft& made) const {
  const auto handle_of = [&](const std::string& name) -> std::shared_ptr<const access::unit_handle> {
    const auto fresh = made.units.find(name);
    return fresh != made.units.end() ? fresh->second.handle : units_.at(name).handle;
  };
  const auto map_of = [&](const config::lun_map& luns) {
    access::lun_map map;
    for (const config::lun_config& entry : luns) map.emplace(entry.lun, handle_of(entry.unit));
    return map;
  };
  const auto port_of = [&](const config::port_config& config) -> const running_port& {
    const auto same = [&](const running_port& port) { return port.config.same_identity(config); };
    const auto fresh = std::find_if(made.ports.begin(), made.ports.end(), same);
    return fresh != made.ports.end() ? *fresh : *std::find_if(ports_.begin(), ports_.end(), same);
  };
  std::vector<access::target_entry> targets;
  for (const config::target_config& target : wanted.targets) {
    access::target_entry entry{target.name, target.open, map_of(target.luns), {}, {}};
    for (const config::port_config& config : target.ports) {
      const running_port& port = port_of(config);
      entry.ports.push_back({port.port->descriptor(), port.relative_id});
    }
    for (const config::access_config& who : target.access) {
      access::initiator_entry initiator;
      if (who.luns) initiator.luns = map_of(*who.luns);
      for (const port::fabric& fabric : parts_.fabrics.all()) {
        if (!fabric.read_access) continue;
        auto kept = fabric.read_access(who.settings);
        if (!kept) return tl::unexpected(kept.error());
        if (*kept) initiator.credentials.emplace(fabric.rules.name, std::move(*kept));
      }
      entry.initiators.emplace(who.initiator, std::move(initiator));
    }
    targets.push_back(std::move(entry));
  }
  return access::make_directory(std::move(targets));
}

void gateway::publish(access::directory picture) {
  const auto shared = std::make_shared<const access::directory>(std::move(picture));
  for (std::size_t i = 0; i < parts_.cores.size(); ++i)
    parts_.cores[i]->call_async([&](std::function<void()> finished) {
      caf::anon_send(as_actor(core_actors_[i].handle), nexus::publish_order{shared, std::move(finished)});
    });
}

void gateway::discard(draft& made) {
  for (running_port& port : made.ports) stop_port(port);
  const auto limit = parts_.cores.front()->loop().now_ns() + medium_patience_ns;
  for (auto& [name, unit] : made.units) stop_unit(unit, parts_.cores, parts_.wait, limit);
  for (const std::string& name : made.frozen) thaw_unit(units_.at(name));
  for (const auto& [name, size] : made.resized)
    if (auto back = stores_.at(name)->resize(size); !back)
      SLUICE_LOG(error, "gateway", "could not undo a resize", {"store", name}, {"why", back.error().message});
  for (const auto& medium : made.handing_over) medium->take_over();
}

void gateway::commit(const config::model& wanted, draft& made, access::directory picture) {
  for (const store::prepared& each : made.settings) each.put_in_force();
  std::vector<running_unit> leaving;
  for (auto it = units_.begin(); it != units_.end();) {
    if (config::find_named(wanted.units, it->first) && !made.units.contains(it->first)) {
      ++it;
      continue;
    }
    leaving.push_back(std::move(it->second));
    it = units_.erase(it);
  }
  units_.merge(made.units);
  std::vector<running_port> closing;
  const auto unwanted = [&](const running_port& port) {
    const config::target_config* target = config::find_named(wanted.targets, port.target);
    return !target || std::none_of(target->ports.begin(), target->ports.end(), [&](const config::port_config& config) {
      return config.same_identity(port.config);
    });
  };
  for (auto it = ports_.begin(); it != ports_.end();) {
    if (!unwanted(*it)) {
      ++it;
      continue;
    }
    closing.push_back(std::move(*it));
    it = ports_.erase(it);
  }
  std::move(made.ports.begin(), made.ports.end(), std::back_inserter(ports_));

  follow(wanted);
  // While units change places, two of them may use one medium: then no tier may answer from what it keeps, and what a
  // tier that goes has kept is void. When all stops, nobody is left to write past it.
  for (const auto& [name, medium] : stores_)
    if (const auto stays = made.stores.find(name);
        !stopping_ && (stays == made.stores.end() || stays->second != medium))
      medium->hand_over();
  // A gateway that ends closes its doors first: no login shall hear that its target is gone for good.
  if (stopping_)
    for (running_port& port : closing) stop_port(port);
  publish(std::move(picture));
  for (changed_port& each : made.changed_ports) {
    each.change->commit();
    find_port(each.config)->config = each.config;
  }
  if (!stopping_)
    for (running_port& port : closing) stop_port(port);
  if (stopping_) empty_memory();
  const auto limit = parts_.cores.front()->loop().now_ns() + medium_patience_ns;  // for all of them together
  for (running_unit& unit : leaving)
    if (!stop_unit(unit, parts_.cores, parts_.wait, limit)) stranded_.push_back(std::move(unit));
  leaving.clear();
  stores_ = std::move(made.stores);  // stores that nobody names any more close here
  take_over();
  model_ = wanted;
}

/// Requests of units that were left behind may still come to what lies below.
void gateway::take_over() {
  if (!stranded_.empty()) return;
  for (const auto& [name, medium] : stores_) medium->take_over();
}

void gateway::follow_media() {
  take_over();
  follow(model_);
}

std::vector<scsi::target_port_group> gateway::groups_of(const config::model& wanted, const std::string& unit) const {
  std::map<std::uint16_t, scsi::target_port_group> groups;
  for (const running_port& port : ports_) {
    const config::target_config* target = config::find_named(wanted.targets, port.target);
    if (!target) continue;
    const auto maps = [&](const config::lun_map& luns) {
      return std::any_of(luns.begin(), luns.end(), [&](const config::lun_config& entry) { return entry.unit == unit; });
    };
    const bool sees = maps(target->luns) ||
                      std::any_of(target->access.begin(), target->access.end(),
                                  [&](const config::access_config& who) { return who.luns && maps(*who.luns); });
    if (!sees) continue;
    const bool stays = std::any_of(target->ports.begin(), target->ports.end(),
                                   [&](const config::port_config& each) { return each.same_identity(port.config); });
    if (!stays) continue;
    groups[port.config.group].number = port.config.group;
    groups[port.config.group].ports.push_back(port.relative_id);
  }
  std::vector<scsi::target_port_group> listed;
  for (auto& [number, group] : groups) listed.push_back(std::move(group));
  return listed;
}

void gateway::follow(const config::model& wanted) {
  for (auto& [name, unit] : units_) {
    const config::unit_config& config = *config::find_named(wanted.units, name);
    const store::properties medium = unit.medium->describe();
    scsi::unit_facts facts = facts_of(config, medium);
    facts.serial = unit.facts.serial;
    facts.naa = unit.facts.naa;
    unit.config = config;
    const std::uint64_t capacity = std::exchange(facts.capacity_blocks, unit.facts.capacity_blocks);
    if (facts != unit.facts)
      change_unit(unit, [&](unit::home& home, unit::home::done done) { home.set_facts(facts, std::move(done)); });
    if (capacity != facts.capacity_blocks)
      change_unit(unit, [&](unit::home& home, unit::home::done done) { home.set_capacity(capacity, std::move(done)); });
    facts.capacity_blocks = capacity;
    unit.facts = facts;
    warn(unit, medium);
    const std::vector<scsi::target_port_group> groups = groups_of(wanted, name);
    if (groups == unit.groups) continue;
    unit.groups = groups;
    change_unit(unit, [&](unit::home& home, unit::home::done done) { home.set_groups(groups, std::move(done)); });
  }
}

/// Initiators hear that a part of the medium failed, and that data were found to be lost [SPC-5 annex D: 0Bh].
void gateway::warn(running_unit& unit, const store::properties& medium) {
  const auto tell = [&](scsi::additional_sense code) {
    change_unit(unit, [&](unit::home& home, unit::home::done done) {
      home.establish_unit_attention(code, 0, std::move(done));
    });
  };
  if (std::exchange(unit.failures, medium.failures) < medium.failures) tell(scsi::asc::warning);
  if (std::exchange(unit.losses, medium.losses) < medium.losses) tell(scsi::asc::background_medium_error);
}

result<void> gateway::resize(const std::string& unit, std::uint64_t size_bytes) {
  const auto found = units_.find(unit);
  if (found == units_.end()) return fail(errc::not_found, "no unit '" + unit + "'");
  if (size_bytes == 0 || size_bytes % found->second.config.block_size != 0)
    return fail(errc::invalid_argument, "the size must be a multiple of the unit's blocks of " +
                                            std::to_string(found->second.config.block_size) + " octets");
  if (auto done = found->second.medium->resize(size_bytes); !done) return done;
  follow(model_);
  return {};
}

result<void> gateway::clear_reservations(const std::string& unit) {
  const auto found = units_.find(unit);
  if (found == units_.end()) return fail(errc::not_found, "no unit '" + unit + "'");
  return change_unit(found->second,
                     [](unit::home& home, unit::home::done done) { home.clear_reservations(std::move(done)); });
}

void gateway::stop_port(running_port& port) {
  const runtime::latch stopped(parts_.wait);
  port.port->stop(stopped.opener());
  stopped.wait();
}

void gateway::stop() {
  draft nothing;
  stopping_ = true;
  commit({}, nothing, {});
  fabrics_.clear();
}

std::vector<nexus::nexus_info> gateway::nexuses() {
  std::vector<nexus::nexus_info> all;
  for (std::size_t i = 0; i < parts_.cores.size(); ++i)
    parts_.cores[i]->call([&] {
      const auto here = core_actors_[i]->gateway().list();
      all.insert(all.end(), here.begin(), here.end());
    });
  return all;
}

bool gateway::kick(std::uint64_t nexus_id) {
  bool known = false;
  parts_.cores.front()->call_async([&](std::function<void()> finished) {
    caf::anon_send(as_actor(registry_.handle),
                   nexus::kick_order{nexus_id, port::loss_reason::kicked, [&known, finished](bool found) {
                                       known = found;
                                       finished();
                                     }});
  });
  return known;
}

std::vector<std::string> gateway::addresses(const port::port_id& id) const {
  for (const running_port& port : ports_)
    if (port.port->descriptor().id == id) return port.port->addresses();
  return {};
}

}  // namespace sluice::daemon
