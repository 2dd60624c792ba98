#include "gateway/daemon/running_unit.hpp"

#include <atomic>
#include <bit>
#include <charconv>
#include <chrono>
#include <thread>

#include "actors/observe/log.hpp"
#include "actors/runtime/pinned.hpp"
#include "gateway/agreement/joining.hpp"
#include "gateway/relay/links.hpp"
#include "gateway/state/identity.hpp"
#include "gateway/unit/unit_actor.hpp"

namespace sluice::daemon {

namespace {

/// How long the end of a unit may take. A medium that names a deadline has let tasks go by then.
std::uint64_t patience_ns_of(const running_unit& unit, patience how) {
  if (how == patience::at_once) return 0;
  if (unit.medium->describe().deadline_ns == 0) return 60 * ns_per_s;
  return how == patience::half_a_second ? ns_per_s / 2 : 4 * ns_per_s;
}

/// Asks on a core, of all units at once, until it holds for each: for the end of things that end by themselves soon.
/// Those that take too long, counted from `begun_ns` of the loops' clock, go to `stranded`.
void wait_until(runtime::core& core, const runtime::let_run& wait, unit_list& units, unit_list& stranded, patience how,
                std::uint64_t begun_ns, const std::function<bool(running_unit&)>& holds, bool of_the_medium = false) {
  unit_list left = units;
  for (;;) {
    core.call([&] { std::erase_if(left, [&](const auto& unit) { return holds(*unit); }); });
    if (left.empty()) return;
    const std::uint64_t passed_ns = core.loop().now_ns() - begun_ns;
    bool medium_owes = false;
    std::erase_if(left, [&](const auto& unit) {
      if (passed_ns < patience_ns_of(*unit, how)) {
        medium_owes = medium_owes || (of_the_medium && unit->medium->describe().deadline_ns != 0);
        return false;
      }
      if (how != patience::at_once)
        SLUICE_LOG(error, "unit", "the medium or an initiator does not let go: the unit ends when it does",
                   {"unit", unit->name});
      stranded.push_back(unit);
      std::erase(units, unit);
      return true;
    });
    // Where the caller makes time pass: a medium's answer is on its way, which may be long. What else is waited for
    // comes within the steps of call().
    if (!wait)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    else if (medium_owes)
      wait();
  }
}

/// As the file says, or else as the medium's are: it takes nothing smaller.
std::uint32_t block_size_of(const config::unit_config& config, const store::properties& medium) {
  return config.says_block_size ? config.block_size : std::max(config.block_size, medium.logical_block);
}

result<void> check_block_size(const config::unit_config& config, const store::properties& medium) {
  constexpr std::uint32_t largest = 4096;
  const std::string blocks = "block_size: the medium of store " + config.store + " has blocks of " +
                             std::to_string(medium.logical_block) + " octets";
  if (medium.logical_block > largest) return fail(errc::unsupported, blocks + "; a unit has 512 or 4096");
  if (block_size_of(config, medium) >= medium.logical_block) return {};
  return fail(errc::invalid_argument, blocks + " and takes nothing smaller; write block_size = " +
                                          std::to_string(medium.logical_block) + ", or leave it out");
}

/// "naa." and 16 or 32 digits.
void set_naa(scsi::unit_facts& facts, const std::string& name) {
  const auto number = [&](std::size_t from) {
    std::uint64_t value = 0;
    std::from_chars(name.data() + from, name.data() + from + 16, value, 16);
    return value;
  };
  facts.naa = number(4);
  if (name.size() == 36) facts.naa_extension = number(20);
}

}  // namespace

scsi::unit_facts facts_of(const config::unit_config& config, const store::properties& medium) {
  const std::uint32_t block = block_size_of(config, medium);
  scsi::unit_facts facts;
  facts.block_size = block;
  facts.capacity_blocks = medium.size_bytes / block;
  if (medium.physical_block > block)
    facts.physical_block_exponent = static_cast<std::uint8_t>(std::countr_zero(medium.physical_block / block));
  facts.thin = config.thin && medium.discards;
  facts.read_only = config.read_only || medium.read_only;
  facts.volatile_cache = medium.volatile_cache;
  facts.rotational = config.rotational.value_or(medium.rotational);
  if (!config.vendor.empty()) facts.vendor = config.vendor;
  if (!config.product.empty()) facts.product = config.product;
  // A whole number of what the medium likes best, but not less than what hosts do well with.
  if (const std::uint32_t best = medium.optimal_io_bytes; best != 0 && best < UINT32_MAX / 2)
    facts.optimal_bytes = (std::max(facts.optimal_bytes, best) + best - 1) / best * best;
  const std::uint32_t granularity = std::max(medium.discard_granularity, block) / block;
  facts.unmap_granularity_blocks = granularity;
  facts.optimal_granularity_blocks = std::max(1u, 4096 / block);
  return facts;
}

result<std::shared_ptr<running_unit>> make_unit(const config::unit_config& config, std::shared_ptr<store::store> medium,
                                                std::size_t cores, runtime::core& coordinator_core,
                                                const agreement_parts& agreed, bool replaces) {
  const store::properties about = medium->describe();
  if (auto fits = check_block_size(config, about); !fits) return tl::unexpected(fits.error());
  auto made = std::make_shared<running_unit>();
  made->name = config.name;
  made->facts = facts_of(config, about);
  made->facts.explicit_access = agreed.hosts_move;
  if (!config.naa.empty()) set_naa(made->facts, config.naa);
  made->medium = medium;
  made->coordinator_core = &coordinator_core;
  made->failures = about.failures;
  made->losses = about.losses;
  made->handle = std::make_shared<access::unit_handle>(access::unit_handle{config.name, {}});

  unit::coordinator_options how;
  how.gateway = agreed.gateway;
  how.facts = made->facts;
  how.maps = about.maps;
  how.replaces = how.awaits_predecessor = replaces;
  how.configured_serial = config.serial;
  how.configured_naa = config.naa.empty() ? 0 : made->facts.naa;
  coordinator_core.call([&] { how.serial = state::make_serial([&] { return coordinator_core.loop().random(); }); });
  auto before = agreement::load_former(agreed.state, config.name);
  if (!before) return tl::unexpected(before.error());
  how.before = std::move(*before);
  how.name = config.name;
  how.shares = agreed.shares;
  how.relays = agreed.shares && agreed.links;
  how.awaits_links = true;
  if (agreed.shares) {
    made->tenure = std::make_unique<medium_tenure>(config.name, medium, coordinator_core.loop(), *agreed.changing);
    how.tenure = made->tenure.get();
  }
  if (agreed.shares && !how.before) how.before = agreement::load_alone(agreed.state, config.name);
  auto seat = agreed.authority.open(agreement::record_name(config.name), coordinator_core.loop());
  if (!seat) return tl::unexpected(seat.error());

  unit_to_start& waiting = made->to_start.emplace();
  waiting.gateway = agreed.gateway;
  waiting.awaits_predecessor = replaces;
  waiting.term = &agreed.authority.term();
  if (agreed.shares) waiting.owners = agreed.links;
  std::vector<unit::shard_link*> links;
  for (std::size_t i = 0; i < cores; ++i) {
    waiting.links.push_back(std::make_unique<unit::late_link>());
    links.push_back(waiting.links.back().get());
  }
  waiting.coordinator =
      std::make_unique<unit::coordinator>(std::move(how), links, coordinator_core.loop(), std::move(*seat));
  return made;
}

namespace {

/// A coordinator that never got its actor ends on its core.
void forget_start(running_unit& unit) {
  if (unit.to_start) unit.coordinator_core->call([&] { unit.to_start.reset(); });
}

/// Homes join what is agreed, all at once; the first failure, if any.
result<void> join(const unit_list& made, const std::vector<runtime::core*>& cores, const runtime::let_run& wait) {
  const runtime::latch joined(wait);
  const auto left = std::make_shared<std::atomic<std::size_t>>(made.size());
  const auto outcomes = std::make_shared<std::vector<result<void>>>(made.size());  // each written once
  for (runtime::core* core : cores)
    core->call([&] {
      for (std::size_t i = 0; i < made.size(); ++i)
        if (made[i]->coordinator_core == core)
          made[i]->to_start->coordinator->start(
              [outcomes, i, left, open = joined.opener()](const result<void>& outcome) {
                (*outcomes)[i] = outcome;
                if (left->fetch_sub(1) == 1) open();
              });
    });
  joined.wait();
  for (std::size_t i = 0; i < made.size(); ++i)
    if (const result<void>& outcome = (*outcomes)[i]; !outcome)
      return fail(outcome.error().code, "unit." + made[i]->name + ": " + outcome.error().message);
  return {};
}

/// Commands that a session may send outside of its window: iSCSI's immediate ones.
constexpr std::uint32_t beside_the_window = 32;

void spawn(running_unit& unit, const std::vector<runtime::core*>& cores, std::uint32_t max_tasks) {
  unit_to_start& waiting = *unit.to_start;
  const unit::snapshot_ptr first = waiting.coordinator->snapshot();
  unit.facts.serial = first->facts.serial;
  unit.facts.naa = first->facts.naa;
  if (!waiting.coordinator->damage().empty())
    SLUICE_LOG(error, "unit",
               "what is kept of the unit cannot be read: it is not ready until sluice pr clear gives up "
               "its reservations and saved mode pages",
               {"unit", unit.name}, {"why", waiting.coordinator->damage()});
  unit.coordinator = runtime::spawn_on<unit::coordinator_actor>(*unit.coordinator_core, std::move(waiting.coordinator),
                                                                std::move(waiting.links));
  const auto attentions = std::make_shared<unit::attention_book>();
  const auto flushes = std::make_shared<unit::flush_book>();
  for (std::size_t i = 0; i < cores.size(); ++i) {
    unit::shard_options options;
    options.attentions = attentions;
    options.flushes = flushes;
    options.max_tasks_per_nexus = std::max(options.max_tasks_per_nexus, max_tasks + beside_the_window);
    options.index = static_cast<unsigned>(i);
    options.gateway = waiting.gateway;
    options.awaits_predecessor = waiting.awaits_predecessor;
    options.term = waiting.term;
    options.unit = unit.name;
    if (waiting.owners) options.owners = &waiting.owners->on(i);
    options.deadline_ns = unit.medium->describe().deadline_ns;
    unit.shards.push_back(runtime::spawn_on<unit::shard_actor>(
        *cores[i], options, runtime::as_actor(unit.coordinator.handle), unit.medium, first));
    unit.handle->endpoints.push_back(unit.shards.back().self);
  }
  unit.to_start.reset();
}

}  // namespace

result<void> start_units(const unit_list& made, const std::vector<runtime::core*>& cores, const runtime::let_run& wait,
                         std::uint32_t max_tasks) {
  if (made.empty()) return {};
  if (auto done = join(made, cores, wait); !done) {
    for (const auto& unit : made) forget_start(*unit);
    return done;
  }
  for (const auto& unit : made) spawn(*unit, cores, max_tasks);
  // The shards' constructors have run when these come back: nobody meets a endpoint without a shard behind it.
  for (runtime::core* core : cores)
    core->call([&] {
      for (const auto& unit : made) {
        if (unit->coordinator_core != core) continue;
        std::vector<caf::actor> shards;
        for (const auto& shard : unit->shards) shards.push_back(runtime::as_actor(shard.handle));
        unit->coordinator->connect(shards);
      }
    });
  return {};
}

void freeze_unit(const running_unit& unit) {
  unit.coordinator_core->call_async([&](const std::function<void()>& finished) {
    unit.coordinator->inside().freeze([finished](const unit::snapshot_ptr&) { finished(); });
  });
}

void thaw_unit(const running_unit& unit) {
  unit.coordinator_core->call([&] { unit.coordinator->inside().thaw(); });
}

namespace {

void tell_failure(const std::string& unit, const error& why) {
  SLUICE_LOG(error, "unit", "a change did not take", {"unit", unit}, {"why", why.message});
}

}  // namespace

result<void> change_unit(running_unit& unit,
                         const std::function<void(unit::coordinator&, unit::coordinator::done)>& change) {
  result<void> outcome;
  unit.coordinator_core->call_async([&](const std::function<void()>& finished) {
    change(unit.coordinator->inside(), [&unit, &outcome, finished](const result<void>& done) {
      outcome = done;
      if (!done) tell_failure(unit.name, done.error());
      finished();
    });
  });
  return outcome;
}

void change_units(const std::vector<unit_change>& all, const std::vector<runtime::core*>& cores,
                  const runtime::let_run& wait) {
  if (all.empty()) return;
  const runtime::latch done(wait);
  const auto left = std::make_shared<std::atomic<std::size_t>>(all.size());
  const auto finished = [left, open = done.opener()] {
    if (left->fetch_sub(1) == 1) open();
  };
  for (runtime::core* core : cores)
    core->call([&] {
      for (const unit_change& each : all)
        if (each.unit->coordinator_core == core)
          each.change(each.unit->coordinator->inside(),
                      [name = each.unit->name, finished](const result<void>& outcome) {
                        if (!outcome) tell_failure(name, outcome.error());
                        finished();
                      });
    });
  done.wait();
}

unit::medium_debt debt_of(const running_unit& unit, const std::vector<runtime::core*>& cores) {
  unit::medium_debt sum;
  for (std::size_t i = 0; i < cores.size(); ++i)
    cores[i]->call([&] {
      if (const unit::shard_actor& shard = *unit.shards[i].self; !shard.ended()) add(sum, shard.inside().debt());
    });
  return sum;
}

void add(unit::medium_debt& sum, const unit::medium_debt& more) {
  sum.state = std::max(sum.state, more.state);
  sum.waiting += more.waiting;
  sum.given_up += more.given_up;
  sum.oldest_ns = std::max(sum.oldest_ns, more.oldest_ns);
}

std::string health_of(const unit::medium_debt& owed) {
  constexpr std::uint64_t slow_ns = 3 * ns_per_s;
  if (owed.state == store::availability::gone) return "the medium is gone";
  if (owed.state == store::availability::ready && owed.given_up == 0 && owed.oldest_ns < slow_ns) return "good";
  std::string told = "the medium does not answer";
  if (owed.waiting > 0)
    told += ": " + std::to_string(owed.waiting) + " commands wait, the first for " +
            std::to_string(owed.oldest_ns / ns_per_s) + " s";
  if (owed.given_up > 0)
    told += (owed.waiting > 0 ? ", " : ": ") + std::to_string(owed.given_up) + " were answered without it";
  return told;
}

namespace {

void tell(running_unit& successor, void (unit::coordinator::*what)()) {
  successor.coordinator_core->call([&] {
    if (!successor.coordinator->ended()) (successor.coordinator->inside().*what)();
  });
}

/// Whether the unit's successor, if there is one, knows that it is over.
bool has_given_place(running_unit& unit, const std::vector<runtime::core*>& cores) {
  const auto to = unit.successor.lock();
  if (!to) return true;
  if (!unit.left) {
    // A nexus keeps the handle until the unit has let go of it.
    cores.front()->call([&] { unit.left = unit.handle.use_count() == 1; });
    if (!unit.left) return false;
    tell(*to, &unit::coordinator::predecessor_left);
  }
  for (std::size_t i = 0; i < cores.size(); ++i) {
    bool idle = false;
    cores[i]->call([&] { idle = unit.shards[i]->inside().idle(); });
    if (!idle) return false;
  }
  tell(*to, &unit::coordinator::predecessor_over);
  unit.successor.reset();
  return true;
}

void give_places_at_once(const unit_list& leaving, const std::vector<runtime::core*>& cores) {
  for (const auto& unit : leaving) has_given_place(*unit, cores);
}

}  // namespace

void succeed(running_unit& unit, const std::shared_ptr<running_unit>& successor) {
  unit.successor = successor;
  successor->coordinator_core->call(
      [&] { successor->coordinator->take_place_of(runtime::as_actor(unit.coordinator.handle)); });
  unit.coordinator_core->call(
      [&] { unit.coordinator->give_place_to(runtime::as_actor(successor->coordinator.handle)); });
}

void give_places(unit_list leaving, const std::vector<runtime::core*>& cores, const runtime::let_run& wait) {
  if (leaving.empty()) return;
  reactor::loop& clock = cores.front()->loop();
  const std::uint64_t end_ns = clock.now_ns() + ns_per_s / 2;
  for (;;) {
    std::erase_if(leaving, [&](const auto& unit) { return has_given_place(*unit, cores); });
    if (leaving.empty() || clock.now_ns() > end_ns) return;
    if (wait)
      wait();
    else
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

unit_list stop_units(unit_list leaving, const std::vector<runtime::core*>& cores, const runtime::let_run& wait,
                     patience how) {
  unit_list stranded;
  std::erase_if(leaving, [](const auto& unit) {  // a change that was undone before they started
    forget_start(*unit);
    return unit->shards.empty();
  });
  if (leaving.empty()) return stranded;
  // One patience for all media and all that they hold up.
  reactor::loop& clock = cores.front()->loop();
  const std::uint64_t begun_ns = clock.now_ns();
  give_places_at_once(leaving, cores);
  wait_until(*cores.front(), wait, leaving, stranded, how, begun_ns,
             [](running_unit& unit) { return unit.handle.use_count() == 1; });
  give_places_at_once(leaving, cores);
  for (std::size_t i = 0; i < cores.size(); ++i)
    wait_until(
        *cores[i], wait, leaving, stranded, how, begun_ns,
        [i](running_unit& unit) { return unit.shards[i]->inside().idle(); }, true);
  for (runtime::core* core : cores)
    wait_until(*core, wait, leaving, stranded, how, begun_ns, [core](running_unit& unit) {
      return unit.coordinator_core != core || unit.coordinator->inside().idle();
    });
  give_places_at_once(leaving, cores);
  for (const auto& unit : leaving) {
    if (unit->tenure && unit->successor.expired()) unit->tenure->end_now();
    for (auto& shard : unit->shards) caf::anon_send_exit(shard.handle, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(unit->coordinator.handle, caf::exit_reason::user_shutdown);
  }
  // Each core has let go of the medium before the caller closes it.
  for (std::size_t i = 0; i < cores.size(); ++i)
    wait_until(*cores[i], wait, leaving, stranded, patience::some, clock.now_ns(),
               [i](running_unit& unit) { return unit.shards[i]->ended(); });
  return stranded;
}

}  // namespace sluice::daemon
