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
                                const agreement_parts& agreed, bool replaces) {
  running_unit made{config, facts_of(config, medium->describe()), {}, medium, &home_core, {}, {}, {}};
  made.failures = medium->describe().failures;
  made.losses = medium->describe().losses;
  unit::home_options how;
  how.gateway = agreed.gateway;
  how.facts = made.facts;
  how.maps = medium->describe().maps;
  how.replaces = replaces;
  home_core.call([&] { how.serial = state::make_serial([&] { return home_core.loop().random(); }); });
  auto before = agreement::load_former(agreed.state, config.name);
  if (!before) return tl::unexpected(before.error());
  how.before = std::move(*before);
  auto seat = agreed.authority.open(agreement::record_name(config.name), home_core.loop());
  if (!seat) return tl::unexpected(seat.error());

  unit::late_links links;
  std::vector<unit::shard_link*> link_pointers;
  for (std::size_t i = 0; i < cores.size(); ++i) {
    links.push_back(std::make_unique<unit::late_link>());
    link_pointers.push_back(links.back().get());
  }
  auto inside = std::make_unique<unit::home>(std::move(how), link_pointers, home_core.loop(), std::move(*seat));
  result<void> started;
  home_core.call_async([&](const std::function<void()>& finished) {
    inside->start([&started, finished](const result<void>& outcome) {
      started = outcome;
      finished();
    });
  });
  if (!started) {
    home_core.call([&] { inside.reset(); });
    return tl::unexpected(started.error());
  }
  const unit::snapshot_ptr first = inside->snapshot();
  made.facts.serial = first->facts.serial;
  made.facts.naa = first->facts.naa;
  if (!inside->damage().empty())
    SLUICE_LOG(error, "unit",
               "what is kept of the unit cannot be read: it is not ready until sluice pr clear gives up "
               "its reservations and saved mode pages",
               {"unit", config.name}, {"why", inside->damage()});
  made.home = runtime::spawn_on<unit::home_actor>(home_core, std::move(inside), std::move(links));

  std::vector<caf::actor> shards;
  made.handle = std::make_shared<access::unit_handle>(access::unit_handle{config.name, {}});
  for (std::size_t i = 0; i < cores.size(); ++i) {
    unit::shard_options options;
    options.index = static_cast<unsigned>(i);
    options.gateway = agreed.gateway;
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

void freeze_unit(const running_unit& unit) {
  unit.home_core->call_async([&](const std::function<void()>& finished) {
    unit.home->inside().freeze([finished](const unit::snapshot_ptr&) { finished(); });
  });
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
