#include "gateway/daemon/owners.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <map>
#include <thread>

#include "actors/observe/log.hpp"
#include "gateway/daemon/running.hpp"
#include "gateway/daemon/unknown_names.hpp"
#include "gateway/unit/unit_actor.hpp"

namespace sluice::daemon {

namespace {

/// A member that does not answer is gone within some seconds.
constexpr std::chrono::seconds move_patience{30};
/// Others wait for the control thread's turn; what takes longer goes on without it.
constexpr std::chrono::milliseconds hand_over_patience{300};
/// What other gateways have just done is seen by the next look at the cluster.
constexpr int looks = 10;
constexpr std::chrono::milliseconds pause{100};

/// What is told of a move, once; when a unit ends without a word, that.
class move_outcome {
 public:
  ~move_outcome() {
    if (!told_) promise_.set_value(fail(errc::closed, "the unit has ended"));
  }
  void tell(const result<void>& done) {
    told_ = true;
    promise_.set_value(done);
  }
  std::future<result<void>> future() { return promise_.get_future(); }

 private:
  std::promise<result<void>> promise_;
  bool told_ = false;
};

std::future<result<void>> begin_move(const running_unit& unit, gateway_id heir) {
  const auto outcome = std::make_shared<move_outcome>();
  unit.coordinator_core->call([&] {
    if (!unit.coordinator->ended())
      unit.coordinator->inside().move(heir, [outcome](const result<void>& done) { outcome->tell(done); });
  });
  return outcome->future();
}

/// A unit that gateways share, as its coordinator knows it.
struct shared_unit {
  std::shared_ptr<running_unit> unit;
  gateway_id owner = 0;
  std::vector<gateway_id> members;
  std::map<gateway_id, std::uint64_t> came_by = {};  // commands; filled in by who wants to know
  bool has(gateway_id one) const { return std::find(members.begin(), members.end(), one) != members.end(); }
};

/// Those that are in force here. Coordinators look again who should own them.
std::vector<shared_unit> look_at_owners(const running& now) {
  std::map<runtime::core*, std::vector<std::shared_ptr<running_unit>>> by_core;
  const auto seen = now.seen();
  for (const auto& [name, unit] : seen->units) by_core[unit->coordinator_core].push_back(unit);
  std::vector<shared_unit> found;
  for (const auto& [core, units] : by_core)
    core->call([&found, &units = units] {
      for (const auto& unit : units) {
        if (unit->coordinator->ended()) continue;
        unit->coordinator->inside().reconsider_owner();
        const unit::unit_snapshot& agreed = *unit->coordinator->inside().snapshot();
        if (!agreed.owned) continue;
        shared_unit& one = found.emplace_back(shared_unit{unit, agreed.owned->owner, {}});
        for (const auto& [gateway, incarnation] : agreed.members) one.members.push_back(gateway);
      }
    });
  return found;
}

}  // namespace

result<std::vector<owners::member>> owners::members() const {
  if (!now_.made_of.cluster) return fail(errc::unsupported, "this gateway is in no cluster: its file has no [cluster]");
  return now_.made_of.cluster->members();
}

result<owners::member> owners::find(const std::string& gateway) const {
  std::vector<std::string> names;
  for (int i = 0; i < looks; ++i) {
    const auto all = members();
    if (!all) return tl::unexpected(all.error());
    names.clear();
    for (const member& each : *all) {
      if (each.gateway == gateway) return each;
      names.push_back(each.gateway);
    }
    std::this_thread::sleep_for(pause);
  }
  return fail(errc::not_found, "no gateway '" + gateway + "'" + config::did_you_mean(gateway, names, "'") + "; " +
                                   config::one_of(names));
}

result<void> owners::move(const std::string& unit, const std::string& to) {
  const auto seen = now_.seen();
  const auto found = seen->units.find(unit);
  if (found == seen->units.end()) return no_unit(*seen, unit);
  auto heir = find(to);
  for (int i = 0; i < looks && heir && heir->drained; ++i) {  // or not any more, which the next look sees
    std::this_thread::sleep_for(pause);
    heir = find(to);
  }
  if (!heir) return tl::unexpected(heir.error());
  if (heir->drained)
    return fail(errc::busy, "the gateway '" + to + "' is drained: `sluice cluster undrain " + to + "` first");
  auto outcome = begin_move(*found->second, heir->id);
  if (outcome.wait_for(move_patience) != std::future_status::ready)
    return fail(errc::timeout, "the unit has not moved within 30 s; `sluice cluster status` tells who owns it");
  return outcome.get();
}

result<void> owners::drain(const std::string& gateway, bool drained) {
  const auto all = members();
  if (!all) return tl::unexpected(all.error());
  const auto takes = [&](const member& each) { return each.gateway != gateway && !each.gone && !each.drained; };
  if (drained && std::none_of(all->begin(), all->end(), takes))
    return fail(errc::unsupported, "no other gateway of the cluster could own units: '" + gateway + "' stays as it is");
  auto done = now_.made_of.cluster->drain(gateway, drained);
  if (done || done.error().code != errc::not_found) return done;
  const auto found = find(gateway);
  return found ? done : tl::unexpected(found.error());  // a sentence with the names that there are
}

result<void> owners::forget(const std::string& gateway) {
  const auto found = find(gateway);
  if (!found) return tl::unexpected(found.error());
  return now_.made_of.cluster->forget(gateway);
}

bool owners::gives_up(const std::vector<member>& all) const {
  const gateway_id own = now_.made_of.cluster->id();
  return std::any_of(all.begin(), all.end(), [own](const member& each) { return each.id == own && each.drained; });
}

bool owners::are_to_be_tended() const {
  const auto& cluster = now_.made_of.cluster;
  if (!cluster || !cluster->term().holds()) return false;
  const std::vector<member> all = cluster->members();
  return all != seen_ || gives_up(all) || (all.size() > 1 && std::chrono::steady_clock::now() >= next_look_);
}

void owners::tend() {
  const auto members = now_.made_of.cluster->members();
  const bool changed = seen_ != members;
  seen_ = members;
  std::vector<member> heirs;
  for (const member& each : seen_)
    if (!each.gone && !each.drained) heirs.push_back(each);
  if (gives_up(seen_) && !heirs.empty())
    hand_over(heirs);
  else if (std::chrono::steady_clock::now() >= next_look_)
    balance(heirs);
  else if (changed)
    look_at_owners(now_);
}

/// To whoever owns least, as seen from here.
void owners::hand_over(const std::vector<member>& heirs) {
  const std::vector<shared_unit> units = look_at_owners(now_);
  std::map<gateway_id, std::size_t> owned;
  for (const shared_unit& each : units) ++owned[each.owner];
  for (const shared_unit& each : units) {
    if (each.owner != now_.made_of.cluster->id() || moves_.contains(each.unit->name)) continue;
    const member* heir = nullptr;
    for (const member& one : heirs)
      if (each.has(one.id) && (!heir || owned[one.id] < owned[heir->id])) heir = &one;
    if (!heir) continue;
    ++owned[heir->id];
    SLUICE_LOG(info, "cluster", "this gateway is drained: it gives a unit up", {"unit", each.unit->name},
               {"to", heir->gateway});
    moves_.emplace(each.unit->name, begin_move(*each.unit, heir->id));
  }
  await_moves();
}

void owners::balance(const std::vector<member>& heirs) {
  next_look_ = std::chrono::steady_clock::now() + std::chrono::nanoseconds(load_watch::period_ns);
  const auto seen = now_.seen();
  if (!seen->model->cluster || !seen->model->cluster->balance) return;
  std::vector<shared_unit> units = look_at_owners(now_);
  const gateway_id own = now_.made_of.cluster->id();
  std::erase_if(units, [own](const shared_unit& each) { return each.owner != own; });
  std::map<std::string, load_watch> loads;
  for (shared_unit& each : units) loads.insert(loads_.extract(each.unit->name));
  loads_ = std::move(loads);
  if (units.empty()) return;
  for (std::size_t i = 0; i < now_.made_of.cores.size(); ++i)
    now_.made_of.cores[i]->call([&] {
      for (shared_unit& each : units)
        if (const unit::shard_actor& shard = *each.unit->shards[i].self; !shard.ended())
          for (const auto& [gateway, commands] : shard.inside().came_by()) each.came_by[gateway] += commands;
    });
  for (const shared_unit& each : units) {
    const auto to = loads_[each.unit->name].look(each.came_by, own);
    if (!to || !each.has(*to) || moves_.contains(each.unit->name)) continue;
    const auto heir = std::find_if(heirs.begin(), heirs.end(), [&](const member& one) { return one.id == *to; });
    if (heir == heirs.end()) continue;
    SLUICE_LOG(info, "cluster", "most commands come by another gateway: it gets the unit", {"unit", each.unit->name},
               {"to", heir->gateway});
    moves_.emplace(each.unit->name, begin_move(*each.unit, *to));
  }
  await_moves();
}

/// Those that take their time are left to it.
void owners::await_moves() {
  const auto until = std::chrono::steady_clock::now() + hand_over_patience;
  for (auto each = moves_.begin(); each != moves_.end();) {
    auto& [unit, outcome] = *each;
    if (outcome.wait_until(until) != std::future_status::ready) {
      ++each;
      continue;
    }
    if (const auto done = outcome.get(); !done)
      SLUICE_LOG(warning, "cluster", "a unit was not given up", {"unit", unit}, {"why", done.error().message});
    each = moves_.erase(each);
  }
}

}  // namespace sluice::daemon
