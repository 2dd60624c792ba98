#include "gateway/daemon/gateway.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include "actors/observe/log.hpp"
#include "actors/runtime/pinned.hpp"
#include "gateway/daemon/following.hpp"
#include "gateway/daemon/reconciler.hpp"
#include "gateway/daemon/starting.hpp"
#include "gateway/daemon/steps.hpp"
#include "gateway/daemon/unknown_names.hpp"
#include "gateway/nexus/nexus_actor.hpp"
#include "gateway/state/local_authority.hpp"
#include "gateway/unit/unit_actor.hpp"

namespace sluice::daemon {

namespace {

config::known_types known_by(const parts& made_of) {
  config::known_types known;
  for (const store::factory& factory : made_of.stores.all()) known.stores.emplace_back(factory.type, factory.keys);
  for (const port::fabric& fabric : made_of.fabrics.all()) known.fabrics.push_back(fabric.rules);
  return known;
}

}  // namespace

result<std::unique_ptr<gateway>> gateway::make(const parts& made_of) {
  auto authority = state::local_authority::make(made_of.state);
  if (!authority) return tl::unexpected(authority.error());
  auto numbers = relative_ports::load(made_of.cluster ? static_cast<state::authority&>(*made_of.cluster) : **authority,
                                      *made_of.cores.front(), made_of.state);
  if (!numbers) return tl::unexpected(numbers.error());
  return std::unique_ptr<gateway>(new gateway(made_of, std::move(*numbers), std::move(*authority)));
}

gateway::gateway(const parts& made_of, relative_ports numbers, std::unique_ptr<state::authority> authority)
    : now_(made_of, std::move(numbers), std::move(authority)) {
  now_.known = known_by(made_of);
  runtime::core& first = *made_of.cores.front();
  now_.registry =
      runtime::spawn_on<nexus::registry_actor>(first, made_of.cluster ? made_of.cluster->id() : gateway_id{0});
  std::vector<caf::actor> actors;
  for (runtime::core* core : made_of.cores) {
    now_.core_actors.push_back(
        runtime::spawn_on<nexus::core_actor>(*core, core->loop(), runtime::as_actor(now_.registry.handle)));
    actors.push_back(runtime::as_actor(now_.core_actors.back().handle));
    now_.endpoints.push_back({core, &now_.core_actors.back()->gateway()});
  }
  first.call([&] { now_.registry->connect(actors); });
  for (std::size_t i = 0; i < made_of.cores.size(); ++i)
    made_of.cores[i]->call([&] { now_.core_actors[i]->connect(actors); });
}

gateway::~gateway() {
  SLUICE_CHECK(now_.seen()->units.empty() && now_.seen()->ports.empty());
  for (auto& actor : now_.core_actors) caf::anon_send_exit(actor.handle, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(now_.registry.handle, caf::exit_reason::user_shutdown);
}

config::plan gateway::plan(std::shared_ptr<const config::model> wanted) {
  change looked_at(now_, std::move(wanted));
  config::plan told = plan_for(looked_at);
  const steps all = make_steps(looked_at, told);
  ask(all, told);
  tell_doubts(all, told);
  return told;
}

result<config::plan> gateway::apply(std::shared_ptr<const config::model> wanted,
                                    const std::function<void(const std::string&)>& tell, const agreeing& agree) {
  auto done = apply_once(wanted, tell, agree);
  if (!done || !done->refused.empty()) return done;
  asked_of_start_.reset();
  show_absent({});
  return done;
}

result<config::plan> gateway::apply_once(const std::shared_ptr<const config::model>& wanted,
                                         const std::function<void(const std::string&)>& tell, const agreeing& agree) {
  std::unique_lock changing(now_.changing);
  change under_way(now_, wanted);
  config::plan told = plan_for(under_way);
  const steps all = make_steps(under_way, told);
  ask(all, told);
  if (!told.refused.empty()) return told;
  driving how{[this] { return now_.interrupted.load(); }, tell, {}, trip_};
  // Others may take their time, and a unit that this gateway has come to own does not wait for them; but for one whose
  // store is about to change.
  const bool holds_stores = std::any_of(told.steps.begin(), told.steps.end(), [](const config::step& each) {
    return each.what == config::action::change_store || each.what == config::action::replace_store ||
           each.what == config::action::remove_store;
  });
  if (agree)
    how.agree = [&] {
      if (!holds_stores) changing.unlock();
      auto agreed = agree(told);
      if (!holds_stores) changing.lock();
      return agreed;
    };
  if (auto ready = prepare(all, how); !ready) return tl::unexpected(ready.error());
  commit(all);
  return told;
}

namespace {

/// What stood in the way of an apply, in sentences.
std::vector<std::string> refusals_of(const result<config::plan>& done) {
  if (!done) return {done.error().message};
  std::vector<std::string> all;
  for (const config::refusal& no : done->refused) all.push_back(no.key + ": " + no.reason);
  return all;
}

}  // namespace

result<config::plan> gateway::start(std::shared_ptr<const config::model> wanted) {
  const std::shared_ptr<const config::model> asked = wanted;
  std::vector<absent_unit> absent;
  for (;;) {
    const auto seen = now_.seen();
    const bool is_as_before = seen->runs && *wanted == *seen->model;
    auto done = is_as_before ? config::plan{} : apply_once(wanted, {}, {});
    const std::vector<std::string> refused = refusals_of(done);
    for (const std::string& sentence : refused) {
      auto smaller = leave_out(*wanted, sentence, now_.made_of.state);
      if (!smaller) return done;
      wanted = std::make_shared<const config::model>(std::move(smaller->model));
      absent.insert(absent.end(), smaller->absent.begin(), smaller->absent.end());
    }
    if (!refused.empty()) continue;
    asked_of_start_ = absent.empty() ? nullptr : asked;
    show_absent(std::move(absent));
    return done;
  }
}

void gateway::try_absent() {
  if (const auto asked = asked_of_start_) start(asked);
}

/// Tells what is new of it.
void gateway::show_absent(std::vector<absent_unit> absent) {
  const auto seen = now_.seen();
  if (seen->absent == absent) return;
  running_snapshot next = *seen;
  const auto has = [](const std::vector<absent_unit>& all, const absent_unit& one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  for (const absent_unit& each : absent)
    if (!has(next.absent, each))
      SLUICE_LOG(error, "gateway", "a unit is left out", {"unit", each.name}, {"why", each.why});
  for (const absent_unit& each : next.absent)
    if (next.units.contains(each.name)) SLUICE_LOG(info, "gateway", "a unit is there again", {"unit", each.name});
  next.absent = std::move(absent);
  now_.show(std::move(next));
}

result<void> gateway::apply(const config::model& wanted) {
  const auto done = apply(std::make_shared<const config::model>(wanted), {});
  if (!done) return tl::unexpected(done.error());
  if (done->refused.empty()) return {};
  return fail(errc::invalid_argument, done->refused.front().key + ": " + done->refused.front().reason);
}

void gateway::stop() {
  const std::lock_guard changing(now_.changing);
  now_.stopping = true;
  change last(now_, std::make_shared<const config::model>());
  last.directory = std::make_shared<access::directory>();
  now_.last_stores = last.before->stores;
  config::plan none = config::make_plan({*last.before->model}, *last.wanted, now_.known);
  commit(make_steps(last, none));
  now_.hide_strangers();
  now_.fabrics.clear();
}

std::vector<nexus::nexus_info> gateway::nexuses() {
  return nexuses_of(now_);
}

bool gateway::kick(std::uint64_t nexus_id) {
  bool known = false;
  now_.made_of.cores.front()->call_async([&](std::function<void()> finished) {
    caf::anon_send(runtime::as_actor(now_.registry.handle),
                   nexus::kick_order{nexus_id, port::loss_reason::kicked, [&known, finished](bool found) {
                                       known = found;
                                       finished();
                                     }});
  });
  return known;
}

result<void> gateway::resize(const std::string& unit, std::uint64_t size_bytes) {
  const auto seen = now_.seen();
  const auto found = seen->units.find(unit);
  if (found == seen->units.end()) return no_unit(*seen, unit);
  if (size_bytes == 0 || size_bytes % found->second->facts.block_size != 0)
    return fail(errc::invalid_argument, "the size must be a multiple of the unit's blocks of " +
                                            std::to_string(found->second->facts.block_size) + " octets");
  if (auto done = found->second->medium->resize(size_bytes); !done) return done;
  follow_units(now_, *seen, {unit});
  return {};
}

void gateway::end_units() {
  const auto changing = hold_changes();
  take_over(now_);
}

void gateway::follow_media() {
  const auto changing = hold_changes();
  daemon::follow_media(now_);
}

result<void> gateway::clear_reservations(const std::string& unit) {
  const auto seen = now_.seen();
  const auto found = seen->units.find(unit);
  if (found == seen->units.end()) return no_unit(*seen, unit);
  return change_unit(*found->second, [](unit::coordinator& coordinator, unit::coordinator::done done) {
    coordinator.clear_reservations(std::move(done));
  });
}

}  // namespace sluice::daemon
