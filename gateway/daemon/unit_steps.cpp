#include <algorithm>
#include <chrono>
#include <thread>

#include "actors/observe/log.hpp"
#include "gateway/daemon/cluster.hpp"
#include "gateway/daemon/steps.hpp"

namespace sluice::daemon {

namespace {

/// The unit's store and those below it.
std::vector<config::store_config> media_of(const config::model& model, const std::string& unit) {
  std::vector<config::store_config> all;
  const config::unit_config* of = config::find_named(model.units, unit);
  const config::store_config* at = of ? config::find_named(model.stores, of->store) : nullptr;
  for (; at; at = at->over.empty() ? nullptr : config::find_named(model.stores, at->over)) all.push_back(*at);
  return all;
}

class unit_step : public step {
 public:
  using step::step;

 protected:
  const std::string& name() const { return told_.name; }
  const config::unit_config& wanted() const { return *config::find_named(in_.wanted->units, told_.name); }
};

/// add_unit, replace_unit. What initiators have reserved goes over: the unit that runs is frozen before the new one
/// joins what they agreed on.
class start_step final : public unit_step {
 public:
  using unit_step::unit_step;

  result<void> check() override {
    if (auto free = check_place(); !free) return free;
    if (auto shares = check_shared(); !shares) return tl::unexpected(shares.error());
    return check_unmarked(in_, "unit." + name(), wanted().store);
  }

  result<void> prepare() override {
    const config::unit_config& config = wanted();
    if (auto free = check_place(); !free) return free;
    if (auto free = check_ownership(in_, "unit." + name(), config.store, {}); !free) return free;
    running& now = in_.now;
    const auto shares = check_shared();
    if (!shares) return tl::unexpected(shares.error());
    const std::vector<runtime::core*>& cores = now.made_of.cores;
    const auto running = in_.before->units.find(name());
    const bool replaces = running != in_.before->units.end();
    if (replaces) {
      freeze_unit(*running->second);
      in_.frozen.push_back(running->second);
    }
    auto made =
        make_unit(config, in_.medium(config.store), cores.size(), *cores[now.next_coordinator++ % cores.size()],
                  *shares ? agreement_parts{*now.made_of.cluster, now.made_of.state, now.made_of.cluster->id(), true,
                                            now.made_of.links, in_.wanted->cluster->hosts_move, &now.changing}
                          : agreement_parts{*now.authority, now.made_of.state},
                  replaces);
    if (!made) return fail(made.error().code, "unit." + name() + ": " + made.error().message);
    in_.units[name()] = std::move(*made);
    return {};
  }
  void undo() override {
    in_.unused.push_back(in_.units.at(name()));
    in_.units.erase(name());
  }
  void commit() override {
    std::shared_ptr<running_unit>& place = in_.next.units[name()];
    if (place) {
      place->media = media_of(*in_.before->model, name());
      in_.replaced.push_back(place);
      succeed(*place, in_.units.at(name()));
    }
    place = in_.units.at(name());
    in_.concerned.insert(name());
  }

 private:
  result<bool> check_shared() const {
    auto shares = is_shared(in_.now.made_of, *in_.wanted, wanted());
    if (!shares) return fail(shares.error().code, "unit." + name() + ": " + shares.error().message);
    return shares;
  }
  /// Two units of one name would take each other's place in what is agreed. And what a medium owes a unit that gives
  /// its place may come after what the next one writes: only the old one locks those blocks.
  result<void> check_place() const {
    for (const ending_unit& each : in_.before->ending)
      if (each.name == name())
        return fail(errc::busy, "unit." + name() +
                                    ": the one that was taken away has not ended, for its medium owes it "
                                    "answers: try again when status no longer shows it as ending");
    const auto running = in_.before->units.find(name());
    if (running == in_.before->units.end()) return {};
    const std::string health = health_of(debt_of(*running->second, in_.now.made_of.cores));
    if (health == "good") return {};
    return fail(errc::busy, "unit." + name() + ": " + health +
                                ": it cannot go over to another store before that has answered; it can be taken away");
  }
};

class change_unit_step final : public unit_step {
 public:
  using unit_step::unit_step;
  void commit() override { in_.concerned.insert(name()); }
};

class remove_unit_step final : public unit_step {
 public:
  using unit_step::unit_step;
  void commit() override {
    const auto place = in_.next.units.find(name());
    place->second->media = media_of(*in_.before->model, name());
    in_.leaving.push_back(place->second);
    in_.next.units.erase(place);
  }
};

/// So that all is over within a minute, with what units are given to end.
constexpr std::uint64_t memory_patience_ns = 50 * ns_per_s;

/// What initiators wrote and only memory holds gets below before the gateway ends, if the media take it in time.
void empty_memory(running& now) {
  struct one {
    const std::string name;
    const std::shared_ptr<store::store> medium;
    const std::uint64_t ownership;
    bool is_below() const { return medium->undestaged_bytes(ownership) == 0; }
  };
  std::vector<one> all;
  for (const auto& medium : now.last_stores)
    if (medium.second->describe().volatile_cache)
      all.push_back({medium.first, medium.second, medium.second->destage()});
  reactor::loop& clock = now.made_of.cores.front()->loop();
  const std::uint64_t end_ns = clock.now_ns() + memory_patience_ns;
  while (!std::all_of(all.begin(), all.end(), [](const one& each) { return each.is_below(); })) {
    if (clock.now_ns() > end_ns) break;
    if (now.made_of.wait)
      now.made_of.wait();
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (const one& each : all) {
    if (each.is_below()) continue;
    now.lost_at_end = true;
    SLUICE_LOG(error, "gateway", "the store below does not take what memory holds: it is lost", {"store", each.name},
               {"bytes", each.medium->undestaged_bytes(each.ownership)}, {"why", each.medium->health()});
  }
}

/// What was found lost while the gateway ran, and is neither whole again nor given up.
void tell_losses(running& now) {
  for (const auto& [name, medium] : now.last_stores) {
    if (medium->describe().losses == 0) continue;
    const std::string health = medium->health();
    if (health == "good") continue;
    now.lost_at_end = true;
    SLUICE_LOG(error, "gateway", "the gateway ends with acknowledged data lost", {"store", name}, {"why", health});
  }
}

class units_end_step final : public step {
 public:
  using step::step;
  void undo() override {
    end(in_.unused, patience::half_a_second);
    for (const auto& unit : in_.frozen) thaw_unit(*unit);
  }
  void finish() override {
    in_.frozen.clear();  // else their media would not close: nothing is undone any more
    if (in_.now.stopping) {
      empty_memory(in_.now);
      tell_losses(in_.now);
      in_.now.last_stores.clear();
    }
    // Nobody waits for the medium of a unit that is taken away, or goes over to another store: its store closes when
    // that has answered, and until then the new unit keeps its blocks locked.
    unit_list ended = std::exchange(in_.leaving, {});
    ended.insert(ended.end(), in_.replaced.begin(), in_.replaced.end());
    in_.replaced.clear();
    end(ended, in_.now.stopping ? patience::some : patience::half_a_second);
  }

 private:
  void end(unit_list& all, patience how) {
    running& now = in_.now;
    const unit_list left = stop_units(std::exchange(all, {}), now.made_of.cores, now.made_of.wait, how);
    if (left.empty()) return;
    now.stranded.insert(now.stranded.end(), left.begin(), left.end());
    show_ending(now);
  }
};

class units_begin_step final : public step {
 public:
  using step::step;
  result<void> prepare() override {
    unit_list made;
    for (const auto& [name, unit] : in_.units) made.push_back(unit);
    return start_units(made, in_.now.made_of.cores, in_.now.made_of.wait, in_.wanted->gateway.max_tasks);
  }
};

class forget_binding_step final : public step {
 public:
  forget_binding_step(change& in, std::string unit) : step(in), unit_(std::move(unit)) {}

  result<void> prepare() override {
    const config::unit_config& unit = *config::find_named(in_.wanted->units, unit_);
    const auto shares = is_shared(in_.now.made_of, *in_.wanted, unit);
    if (shares && *shares) return {};  // with each tenure
    const auto forgotten = forget_flash_of(*in_.medium(unit.store));
    if (forgotten) return {};
    return fail(forgotten.error().code, "unit." + unit_ + ": store." + unit.store + ": " + forgotten.error().message);
  }

 private:
  const std::string unit_;
};

}  // namespace

std::unique_ptr<step> make_unit_step(change& in, const config::step& told) {
  switch (told.what) {
    case config::action::change_unit:
      return std::make_unique<change_unit_step>(in, told);
    case config::action::remove_unit:
      return std::make_unique<remove_unit_step>(in, told);
    default:
      return std::make_unique<start_step>(in, told);
  }
}

std::unique_ptr<step> make_units_end_step(change& in) {
  return std::make_unique<units_end_step>(in);
}
std::unique_ptr<step> make_units_begin_step(change& in) {
  return std::make_unique<units_begin_step>(in);
}
std::unique_ptr<step> make_forget_binding_step(change& in, const std::string& unit) {
  return std::make_unique<forget_binding_step>(in, unit);
}

}  // namespace sluice::daemon
