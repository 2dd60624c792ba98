#include "gateway/daemon/running_unit.hpp"

#include <bit>
#include <chrono>
#include <thread>

#include "actors/observe/log.hpp"
#include "gateway/state/identity.hpp"

namespace sluice::daemon {

namespace {

caf::actor as_actor(const caf::strong_actor_ptr& handle) {
  return caf::actor_cast<caf::actor>(handle);
}

/// Asks, on the core, until it holds: for the end of things that end by themselves soon. False when `limit_ns` comes
/// first, by the loops' clock, which is not always the system's.
bool wait_until(runtime::core& core, const runtime::let_run& wait, const std::function<bool()>& holds,
                std::uint64_t limit_ns = UINT64_MAX) {
  for (;;) {
    bool over = false;
    std::uint64_t now_ns = 0;
    core.call([&] {
      over = holds();
      now_ns = core.loop().now_ns();
    });
    if (over) return true;
    if (now_ns >= limit_ns) return false;
    if (!wait) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // Where the caller makes time pass: a medium's answer is on its way, which may be long. What else is waited for
    // comes within the steps of call().
    if (wait && limit_ns != UINT64_MAX) wait();
  }
}

}  // namespace

scsi::unit_facts facts_of(const config::unit_config& config, const store::properties& medium) {
  scsi::unit_facts facts;
  facts.block_size = config.block_size;
  facts.capacity_blocks = medium.size_bytes / config.block_size;
  if (medium.physical_block > config.block_size)
    facts.physical_block_exponent =
        static_cast<std::uint8_t>(std::countr_zero(medium.physical_block / config.block_size));
  facts.thin = config.thin && medium.discards;
  facts.read_only = config.read_only || medium.read_only;
  facts.volatile_cache = medium.volatile_cache;
  facts.rotational = medium.rotational;
  if (medium.optimal_io_bytes) facts.optimal_blocks = medium.optimal_io_bytes / config.block_size;
  const std::uint32_t granularity = std::max(medium.discard_granularity, config.block_size) / config.block_size;
  facts.unmap_granularity_blocks = granularity;
  facts.optimal_granularity_blocks = std::max(1u, 4096 / config.block_size);
  return facts;
}

result<running_unit> start_unit(const config::unit_config& config, std::shared_ptr<store::store> medium,
                                const std::vector<runtime::core*>& cores, runtime::core& home_core,
                                state::state_store& state, std::optional<reservations::state> reservations) {
  running_unit made{config, facts_of(config, medium->describe()), {}, medium, &home_core, {}, {}, {}};
  made.failures = medium->describe().failures;
  made.losses = medium->describe().losses;
  const auto chance = [&] {
    std::uint64_t drawn = 0;
    home_core.call([&] { drawn = home_core.loop().random(); });
    return drawn;
  };
  const auto identity = state::load_or_make_identity(state, config.name, chance);
  if (!identity) return tl::unexpected(identity.error());
  made.facts.serial = identity->serial;
  made.facts.naa = identity->naa;

  unit::late_links links;
  std::vector<unit::shard_link*> link_pointers;
  for (std::size_t i = 0; i < cores.size(); ++i) {
    links.push_back(std::make_unique<unit::late_link>());
    link_pointers.push_back(links.back().get());
  }
  auto inside = unit::home::make({config.name, made.facts, medium->describe().maps, {}, std::move(reservations)},
                                 link_pointers, home_core.loop(), state);
  if (!inside) return tl::unexpected(inside.error());
  const unit::snapshot_ptr first = (*inside)->snapshot();
  made.home = runtime::spawn_on<unit::home_actor>(home_core, std::move(*inside), std::move(links));

  std::vector<caf::actor> shards;
  made.handle = std::make_shared<access::unit_handle>(access::unit_handle{config.name, {}});
  for (std::size_t i = 0; i < cores.size(); ++i) {
    unit::shard_options options;
    options.index = static_cast<unsigned>(i);
    options.deadline_ns = medium->describe().deadline_ns;
    made.shards.push_back(
        runtime::spawn_on<unit::shard_actor>(*cores[i], options, as_actor(made.home.handle), medium, first));
    made.handle->doors.push_back(made.shards.back().self);
    shards.push_back(as_actor(made.shards.back().handle));
  }
  home_core.call([&] { made.home->connect(shards); });
  // The shards' constructors have run when this comes back: nobody meets a door without a shard behind it.
  for (runtime::core* core : cores) core->call([] {});
  return made;
}

reservations::state freeze_unit(const running_unit& unit) {
  reservations::state held;
  unit.home_core->call_async([&](const std::function<void()>& finished) {
    unit.home->inside().freeze([&held, finished](const unit::snapshot_ptr& now) {
      held = now->reservations;
      finished();
    });
  });
  return held;
}

void thaw_unit(const running_unit& unit) {
  unit.home_core->call([&] { unit.home->inside().thaw(); });
}

result<void> change_unit(running_unit& unit, const std::function<void(unit::home&, unit::home::done)>& change) {
  result<void> outcome;
  unit.home_core->call_async([&](const std::function<void()>& finished) {
    change(unit.home->inside(), [&unit, &outcome, finished](const result<void>& done) {
      outcome = done;
      if (!done)
        SLUICE_LOG(error, "unit", "a change did not take", {"unit", unit.config.name}, {"why", done.error().message});
      finished();
    });
  });
  return outcome;
}

bool stop_unit(running_unit& unit, const std::vector<runtime::core*>& cores, const runtime::let_run& wait,
               std::uint64_t give_up_at_ns) {
  // A nexus keeps the handle until the unit has let go of it.
  wait_until(*unit.home_core, wait, [&] { return unit.handle.use_count() == 1; });
  const std::uint64_t limit = unit.medium->describe().deadline_ns ? give_up_at_ns : UINT64_MAX;
  for (std::size_t i = 0; i < cores.size(); ++i) {
    if (wait_until(
            *cores[i], wait, [&] { return unit.shards[i]->inside().idle(); }, limit))
      continue;
    SLUICE_LOG(error, "unit", "the medium does not give back what it was asked; the unit is left behind",
               {"unit", unit.config.name});
    return false;
  }
  wait_until(*unit.home_core, wait, [&] { return unit.home->inside().idle(); });
  for (auto& shard : unit.shards) caf::anon_send_exit(shard.handle, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(unit.home.handle, caf::exit_reason::user_shutdown);
  // Each core has let go of the medium before the caller closes it.
  for (std::size_t i = 0; i < cores.size(); ++i) wait_until(*cores[i], wait, [&] { return unit.shards[i]->ended(); });
  return true;
}

}  // namespace sluice::daemon
