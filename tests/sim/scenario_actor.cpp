#include <algorithm>
#include <cstdio>

#include "gateway/scsi/asc.hpp"
#include "tests/sim/host.hpp"
#include "tests/sim/journal_look.hpp"
#include "tests/sim/machine_actor.hpp"
#include "tests/sim/scenario.hpp"
#include "tests/sim/tapped_store.hpp"
#include "tests/sim/tier_kind.hpp"

namespace sluice::sim {
namespace {

constexpr const char* disk_path = "/sim/disk.raw";
constexpr std::uint64_t patience_with_debtors_ns = 5 * ns_per_s;  // longer than any connection stalls
constexpr std::uint64_t disk_deadline_ns = 2 * ns_per_s;
constexpr std::uint64_t standstill_ns = 20 * ns_per_s;  // of a medium, until a change that waits for it is refused
constexpr std::uint64_t longest_ns = 300 * ns_per_s;
constexpr std::uint64_t still_work_ns = 150 * ns_per_ms;
constexpr std::uint64_t longest_still_ns = 70 * ns_per_s;  // longer than a target waits for a sign of life

reactor::sim_options quiet_options(std::uint64_t seed) {
  // What the world is like is drawn from the seed too, before the world's own chances begin.
  std::uint64_t state = seed * 0x9e3779b97f4a7c15 + 1;
  const auto draw = [&state](std::uint64_t bound) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % bound;
  };
  reactor::sim_options o;
  o.network_latency_ns = {1000, 1000 + draw(400'000)};
  o.disk_latency_ns = {10'000, 10'000 + draw(3'000'000)};
  o.turn_latency_ns = {100, 100 + draw(10'000)};
  o.send_buffer_bytes = 4096u << draw(8);
  o.short_send = draw(3) == 0 ? 0.3 : 0.05;
  o.short_receive = draw(3) == 0 ? 0.5 : 0.1;
  o.split = draw(3) == 0 ? 0.5 : 0.1;
  if (draw(6) == 0) o.reset = 0.001;
  return o;
}

class history {
 public:
  history(std::uint64_t seed, actors& all, const scenario_options& options)
      : world_(seed, quiet_options(seed)),
        field_(seed, world_),
        options_(with_share_of(seed, options)),
        machine_(world_, all, field_.verdict, 1 + static_cast<unsigned>(world_.below(3)), options.bug,
                 {[this](auto file) { return tap_flushes(std::move(file), field_.disk_flushes, plant::none, {}); },
                  [this](auto medium) { return watched(std::move(medium)); },
                  {}}) {
    field_.bug = options.bug;
    field_.caching = options_.caches;
    field_.verbose = options.verbose;
    field_.always_breaking = world_.options().reset > 0;
    field_.units.push_back(std::make_unique<unit_view>(field_.verdict, "disk", 0, 512, true));
    field_.units.push_back(std::make_unique<unit_view>(field_.verdict, "memory", 1, chance(0.5) ? 512 : 4096, false));
  }

  report run() {
    model_ = first_model();
    if (options_.tiers)
      draw_tiers(options_.rot ? tier_kind::write_back : static_cast<tier_kind>(1 + world_.below(tier_kinds - 1)));
    describe_medium(tiers_);
    machine_.start(model_);
    const std::uint64_t count = 2 + world_.below(max_hosts - 1);
    std::uint64_t all_commands = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t share = 40 + world_.below(160);
      all_commands += share;
      hosts_.push_back(std::make_unique<host>(field_, static_cast<unsigned>(i), static_cast<unsigned>(share)));
      hosts_.back()->begin({"127.0.0.1", 3260});
    }
    std::vector<std::uint64_t> events;  // when so many commands have been answered
    const std::uint64_t some = options_.frozen || options_.caches || options_.rot ? 3 : 0;
    for (std::uint64_t left = some + world_.below(6); left > 0; --left) events.push_back(world_.below(all_commands));
    std::sort(events.begin(), events.end());
    for (const std::uint64_t when : events) {
      proceed([&] { return field_.answered >= when; });
      if (field_.verdict.failed() || finished()) break;
      happen();
    }
    proceed([this] { return finished(); });
    if (!finished() && !field_.verdict.failed()) hangs();
    return end();
  }

 private:
  /// Without an option, some seeds live in the worlds of options all the same. Which ones is no draw of the world's.
  static scenario_options with_share_of(std::uint64_t seed, scenario_options o) {
    if (o.tiers || o.debts || o.hangs) return o;
    o.frozen = o.frozen || seed % 7 == 0 || seed % 7 == 2;
    o.caches = o.caches || seed % 7 == 0 || seed % 7 == 3;
    return o;
  }

  /// The medium of the disk's unit, with the oracle's ear at its flushes.
  std::shared_ptr<store::store> watched(std::shared_ptr<store::store> disk) {
    return tap_flushes(std::move(disk), field_.flushes, options_.bug, [this] { return field_.units[0]->selecting; });
  }
  bool chance(double p) { return world_.chance(p); }
  template <class... Arguments>
  void say(const char* format, Arguments... arguments) {
    if (!options_.verbose) return;
    std::printf("%10.3f ms  ", static_cast<double>(world_.now_ns() - ns_per_s) / 1e6);
    std::printf(format, arguments...);
    std::printf("\n");
  }

  config::model first_model() {
    config::model m;
    config::store_config disk{"disk", "file", {}, "", {}}, memory{"memory", "ram", {}, "", {}};
    disk.settings.set("path", std::string(disk_path));
    disk.settings.set("size", std::uint64_t{unit_bytes});
    if (options_.hangs) disk.settings.set("deadline", disk_deadline_ns);
    memory.settings.set("size", std::uint64_t{unit_bytes});
    m.stores = {disk, memory};
    config::unit_config disk_unit, memory_unit;
    disk_unit.name = disk_unit.store = "disk";
    memory_unit.name = memory_unit.store = "memory";
    memory_unit.block_size = field_.units[1]->block_bytes;
    m.units = {disk_unit, memory_unit};
    config::target_config target;
    target.name = "main";
    target.luns = {{0, "disk", {}}, {1, "memory", {}}};
    target.open = true;
    config::port_config port;
    port.fabric = "iscsi";
    port.name = "iqn.2026-11.sim:target";
    port.settings.set("listen", std::vector<std::string>{"127.0.0.1:3260"});
    if (options_.debts || options_.frozen) port.settings.set("data_out_timeout", patience_with_debtors_ns);
    target.ports = {port};
    m.targets = {target};
    return m;
  }

  bool finished() const {
    if (withheld_) return true;
    for (const auto& each : hosts_)
      if (!each->finished()) return false;
    return true;
  }

  void proceed(const std::function<bool()>& until) {
    world_.run_until([&] { return until() || field_.verdict.failed() || finished(); }, ns_per_s + longest_ns);
  }

  void hangs() {
    std::string why = "the scenario does not come to its end:";
    for (const auto& each : hosts_) why += " " + each->describe() + ";";
    field_.verdict.fail(why);
  }

  // -- what happens --------------------------------------------------------------------------------------------
  void draw_tiers(tier_kind kind) {
    tiers_ = kind;
    put_tiers(model_, kind, (1 + world_.below(4)) * 64 * kib, world_.below(6));
    say("over the disk lies %s", to_string(kind));
  }

  /// What hosts may rely on from now on: of `before` and what lies over the disk now, the less.
  void describe_medium(tier_kind before) {
    unit_view& unit = *field_.units[0];
    const auto both = [&](tier_kind kind) { return tiers_ == kind && before == kind; };
    unit.journaled = both(tier_kind::write_back);
    unit.fua_flushes = both(tier_kind::write_back_in_memory);
    unit.medium_since = field_.verdict.tick();
  }

  /// Before a start: what an operator may have changed meanwhile. What flash may hold and the disk does not stays.
  void other_tiers() {
    if (!options_.tiers) return;
    // A cache whose flash cannot be written is refused.
    world_.options().read_error = world_.options().write_error = 0;
    if (tiers_ == tier_kind::write_back) return;
    world_.faults(flash_path).gone = false;
    if (chance(0.5)) draw_tiers(static_cast<tier_kind>(world_.below(tier_kinds)));
    describe_medium(tiers_);
  }

  /// Errors of the medium; each change that looks at it may tell of losses since the one before.
  void may_lose() {
    field_.media_fail = true;
    constexpr unsigned max_told = 8;
    for (unsigned i = 0; i < max_told; ++i) field_.all_may_hear(0, scsi::asc::background_medium_error);
  }

  /// Some host does, if any goes on.
  host* sweeps(host::sweep how) {
    const std::uint64_t first = world_.below(hosts_.size());
    for (std::size_t i = 0; i < hosts_.size(); ++i)
      if (host* each = hosts_[(first + i) % hosts_.size()].get(); each->begin_sweep(how)) return each;
    return nullptr;
  }

  /// While the disk takes nothing, the journal fills; when the disk is well again, flash is not, for a while.
  void rot() {
    say("the disk takes nothing");
    may_lose();
    world_.fail_writes(disk_path, true);
    const host* const writer = sweeps(host::sweep::write);
    const std::uint64_t longest = world_.now_ns() + 5 * ns_per_s;
    proceed([&] { return !writer || !writer->sweeps() || world_.now_ns() > longest; });
    say("the flash cannot be read, and the disk takes again what it is given");
    world_.faults(flash_path).short_read = 1;
    world_.fail_writes(disk_path, false);
    world_.run_for(world_.below(12'000) * ns_per_ms);
    world_.faults(flash_path).short_read = 0;
    rotten_ = true;
    if (field_.verdict.failed()) return;
    chance(0.3) ? power_loss() : restart();
    sweeps(host::sweep::read);
  }

  void change_tiers() {
    if (rotten_) return;  // with blocks lost, a cache is not changed: docs/tiers.md
    const bool has_flash = tiers_ == tier_kind::flash || tiers_ == tier_kind::flash_around;
    if (has_flash && chance(0.4)) {
      say("the flash vanishes");
      world_.faults(flash_path).gone = true;
      return;
    }
    world_.options().read_error = world_.options().write_error = 0;
    const config::model before = model_;
    const tier_kind kind = tiers_;
    if (chance(0.4)) {
      // Commands that change a mode page begin anew with the unit that takes the place.
      if (field_.units[0]->selecting) return;
      if (kind == tier_kind::none) world_.faults(flash_path).gone = false;
      draw_tiers(kind == tier_kind::none ? tier_kind::write_back : tier_kind::none);
      unit_changes();
    } else if (kind == tier_kind::none) {
      return;
    } else {
      // RAM and manners, and the mode as far as it changes in place.
      draw_tiers(kind == tier_kind::flash_around || (kind == tier_kind::flash && chance(0.5)) ? tier_kind::flash
                                                                                              : kind);
    }
    const bool replaces = kind == tier_kind::none || tiers_ == tier_kind::none;
    field_.units[0]->changing = true;
    describe_medium(kind);
    if (replaces) field_.deferred.unit_replaced(field_.verdict.tick());  // at any moment from here on
    const std::uint64_t since_ns = world_.now_ns();
    const auto may_be = [&](const error& why) {
      const auto says = [&](const char* what) { return why.message.find(what) != std::string::npos; };
      // docs/tiers.md: a medium that takes nothing keeps its journal. A file that lost writes does not flush.
      if (holds_writes(kind) && tiers_ == tier_kind::none && field_.disk_flushes.lacks() && why.code == errc::timeout)
        return world_.now_ns() - since_ns >= standstill_ns && says("it holds data that the store below does not take");
      // What was given up of a slow disk's, an abort's for example, is still its old unit's.
      return replaces && since_ns < field_.slow_until_ns &&
             says("it cannot go over to another store before that has answered");
    };
    if (!machine_.try_apply(model_, may_be)) {
      model_ = before;
      tiers_ = kind;
    } else if (replaces) {
      field_.deferred.unit_replaced(field_.verdict.tick());
    }
    describe_medium(tiers_);
    field_.units[0]->changing = false;
  }

  void happen() {
    if (options_.rot && tiers_ == tier_kind::write_back && chance(0.5)) return rot();
    if (options_.tiers && chance(0.3)) return change_tiers();
    if (options_.debts && chance(0.4)) return run_up_debts();
    if (options_.hangs && chance(0.3)) return hung_disk();
    if (options_.frozen && chance(0.5)) return freeze_host();
    if (options_.caches && chance(0.6)) return chance(0.6) ? failing_flush() : power_loss();
    if (options_.bug == plant::reservation_breach && chance(0.5)) {
      say("the operator clears reservations, and nobody is told");
      return machine_.clear_reservations("disk");
    }
    switch (world_.below(10)) {
      case 0:
      case 1:
        return power_loss();
      case 2:
        return restart();
      case 3:
        return reset_connection();
      case 4:
        return stall();
      case 5:
        return partition();
      case 6:
        return failing_disk();
      case 7:
        return slow_disk();
      case 8:
        return resize();
      default:
        return add_or_remove_unit();
    }
  }

  void new_run() {
    if (options_.bug == plant::forgotten_losses) forget_losses(world_, flash_path);
    const journal_look seen = std::exchange(flash_failed_, false) && tiers_ == tier_kind::write_back
                                  ? look_at_journal(world_, flash_path, disk_path)
                                  : journal_look{};
    const auto may_be = [&](const error& why) {
      return seen.disowned && why.code == errc::busy &&
             why.message.find("but the medium does not wait for them") != std::string::npos;
    };
    if (!machine_.start(model_, may_be) && !field_.verdict.failed()) give_up_journal(seen);
    for (std::uint16_t lun = 0; lun < luns; ++lun)
      for (const std::uint16_t code : {scsi::asc::reset_occurred, scsi::asc::power_on_occurred})
        field_.all_may_hear(lun, code);
  }

  /// The medium has disowned it, for its flash could not be told that it is void. Where nothing was lost, all is below.
  void give_up_journal(const journal_look& seen) {
    if (seen.lacks) {
      say("the disk lacks blocks that its journal has lost: it is withheld until they are given up");
      config::model bare = model_;
      put_tiers(bare, tier_kind::none, 0, 0);
      const auto is_told = [](const error& why) { return why.message.find("lacks data") != std::string::npos; };
      if (machine_.try_apply(bare, is_told)) field_.verdict.fail("a disk is served that lacks blocks");
      withheld_ = true;
      return;
    }
    say("the journal that the disk has disowned is wiped");
    machine_.stop();
    wipe_journal(world_, flash_path);
    machine_.start(model_);
  }

  void power_loss() {
    say("power loss");
    field_.connections_may_break(longest_ns);  // until the hosts have noticed
    machine_.lose_power([this] {
      for (const auto& unit : field_.units) unit->medium.power_lost();
    });
    field_.disk_flushes.life_ends();
    world_.run_for(world_.below(50) * ns_per_ms);
    other_tiers();
    new_run();
    field_.broken_until = world_.now_ns() + 4 * ns_per_s;  // a stalled one notices late
    say("power is back");
  }

  void restart() {
    say("restart");
    field_.connections_may_break(longest_ns);
    machine_.stop();
    if (field_.disk_flushes.life_ends()) field_.units[0]->medium.restarted_after_loss();
    field_.units[1]->medium.power_lost();  // memory
    world_.run_for(world_.below(50) * ns_per_ms);
    other_tiers();
    new_run();
    field_.broken_until = world_.now_ns() + 4 * ns_per_s;  // a stalled one notices late
    say("restarted");
  }

  void reset_connection() {
    const host& victim = *hosts_[world_.below(hosts_.size())];
    if (victim.connection() == reactor::no_handle) return;
    say("a connection is reset");
    field_.connections_may_break(ns_per_s);
    world_.reset_connection(victim.connection());
  }

  void stall() {
    host& victim = *hosts_[world_.below(hosts_.size())];
    if (victim.connection() == reactor::no_handle) return;
    const std::uint64_t duration = (1 + world_.below(2000)) * ns_per_ms;
    say("a connection stalls");
    victim.disturb(duration + ns_per_s);
    world_.stall(victim.connection(), duration);
  }

  /// Commands of the others go on meanwhile; what a host owes for too long it may keep.
  void run_up_debts() {
    host& debtor = *hosts_[world_.below(hosts_.size())];
    say("a host owes its data");
    debtor.owe(true);
    const std::uint64_t duration = (1 + world_.below(8000)) * ns_per_ms;
    debtor.disturb(duration + ns_per_s);  // also of PERSISTENT RESERVE OUT
    world_.after(duration, [this, &debtor] {
      if (!hosts_.empty()) debtor.owe(false);
    });
  }

  /// The others go on, and take away what it has under way; or it begins anew beside its old self.
  void freeze_host() {
    const auto number = static_cast<unsigned>(world_.below(hosts_.size()));
    host& victim = *hosts_[number];
    if (victim.stands_still() || !victim.logged_in()) return;
    const bool pings = chance(0.3);
    const std::uint64_t longest = chance(0.15) ? longest_still_ns : 12 * ns_per_s;
    const std::uint64_t duration = (1 + world_.below(longest / ns_per_ms)) * ns_per_ms;
    say("host %u %s for %llu ms", number, pings ? "answers pings only" : "stands still",
        static_cast<unsigned long long>(duration / ns_per_ms));
    victim.freeze(pings ? host::stillness::pings_only : host::stillness::frozen);
    const auto meanwhile = [this](std::uint64_t after_ns, std::function<void()> what) {
      world_.after(after_ns, [this, what = std::move(what)] {
        if (!hosts_.empty() && !field_.verdict.failed()) what();
      });
    };
    // Soon: the others are done after some hundred milliseconds.
    const std::uint64_t soon = std::min(duration, still_work_ns);
    for (unsigned i = 0; i < 4; ++i)
      meanwhile(world_.below(soon), [this, number] { hosts_[world_.below(hosts_.size())]->fence(number); });
    if (chance(0.25)) meanwhile(world_.below(soon), [&victim] { victim.reboot(); });
    meanwhile(duration, [&victim] { victim.thaw(); });
  }

  void partition() {
    const auto victim = static_cast<unsigned>(10 + world_.below(hosts_.size()));
    const std::uint64_t duration = (1 + world_.below(3000)) * ns_per_ms;
    say("host %u is cut off", victim - 10);
    field_.connections_may_break(duration + 8 * ns_per_s);
    hosts_[victim - 10]->disturb(duration + ns_per_s);
    for (unsigned i = 0; i < machine_.reactors(); ++i) world_.partition(i, victim, true);
    world_.after(duration, [this, victim] {
      for (unsigned i = 0; i < machine_.reactors(); ++i) world_.partition(i, victim, false);
    });
  }

  void failing_disk() {
    say("the disk fails now and then");
    if (holds_writes(tiers_)) field_.all_may_hear(0, scsi::asc::warning);  // the journal fails
    flash_failed_ = flash_failed_ || tiers_ == tier_kind::write_back;
    may_lose();  // a durable write that fails may tell of what others wrote: the gateway cannot know
    if (chance(0.5)) {
      const std::uint64_t first = world_.below(64);
      world_.medium_error(disk_path, first * sector_bytes, (1 + world_.below(16)) * sector_bytes);
      return;
    }
    // What holds writes must not lose them.
    world_.options().read_error = chance(0.5) && !holds_writes(tiers_) ? 0.1 : 0;
    world_.options().write_error = 0.1;
    world_.after((1 + world_.below(50)) * ns_per_ms,
                 [this] { world_.options().read_error = world_.options().write_error = 0; });
  }

  /// And what it was to make durable may be lost, which the disk does not say again.
  void failing_flush() {
    say("flushes fail");
    may_lose();
    world_.faults(disk_path).failed_sync = chance(0.5) ? 1 : 0.3;
    world_.after((1 + world_.below(100)) * ns_per_ms, [this] { world_.faults(disk_path).failed_sync = 0; });
  }

  void slow_disk() {
    say("the disk is slow");
    field_.may_be_slow(5 * ns_per_s);
    world_.options().disk_latency_ns = {ns_per_ms, 200 * ns_per_ms};
    world_.after((1 + world_.below(500)) * ns_per_ms, [this] { world_.options().disk_latency_ns = usual_latency_ns_; });
  }

  /// What is asked of the disk within some milliseconds is answered when nobody waits for it any more.
  void hung_disk() {
    say("the disk hangs");
    field_.media_hang = true;
    field_.may_be_slow(4 * disk_deadline_ns);
    world_.options().disk_latency_ns = {2 * disk_deadline_ns, 3 * disk_deadline_ns};
    world_.after((1 + world_.below(30)) * ns_per_ms, [this] { world_.options().disk_latency_ns = usual_latency_ns_; });
  }

  void resize() {
    unit_view& unit = *field_.units[world_.below(2)];
    const std::uint64_t size = unit_bytes + world_.below(4) * 64 * kib;
    const std::uint64_t now = config::find_named(model_.stores, unit.name)->settings.number("size", 0);
    if (unit.lasting && size < now && !lets_shrink(tiers_)) return;
    say("%s gets %llu KiB", unit.name.c_str(), static_cast<unsigned long long>(size / kib));
    unit.capacities.insert(size);
    field_.all_may_hear(unit.lun, scsi::asc::capacity_changed);
    for (config::store_config& each : model_.stores) {
      if (each.name != unit.name) continue;
      if (size < now) machine_.resize(unit.name, size);
      each.settings.set("size", std::uint64_t{size});
    }
    apply_soon();
  }

  /// An earlier change of tiers may not be through yet.
  void apply_soon() {
    constexpr unsigned tries = 200;
    for (unsigned i = 0; i < tries && !field_.verdict.failed(); ++i) {
      if (machine_.try_apply(model_)) return;
      world_.run_for(50 * ns_per_ms);
    }
    field_.verdict.fail("a change of tiers does not come to its end");
  }

  void add_or_remove_unit() {
    const bool there = config::find_named(model_.units, "extra") != nullptr;
    say(there ? "the third unit goes" : "a third unit comes");
    if (there) {
      std::erase_if(model_.stores, [](const auto& each) { return each.name == "extra"; });
      std::erase_if(model_.units, [](const auto& each) { return each.name == "extra"; });
      model_.targets[0].luns.pop_back();
    } else {
      config::store_config store{"extra", "ram", {}, "", {}};
      store.settings.set("size", std::uint64_t{64 * kib});
      config::unit_config unit;
      unit.name = unit.store = "extra";
      model_.stores.insert(model_.stores.begin() + 1, store);
      model_.units.insert(model_.units.begin() + 1, unit);
      model_.targets[0].luns.push_back({2, "extra", {}});
    }
    unit_changes();
    apply_soon();
  }

  void unit_changes() {
    for (std::uint16_t lun = 0; lun < luns; ++lun)
      for (const std::uint16_t code : {scsi::asc::reported_luns_changed, scsi::asc::reset_occurred,
                                       scsi::asc::power_on_occurred, scsi::asc::i_t_nexus_loss})
        field_.all_may_hear(lun, code);
  }

  report end() {
    for (const auto& each : hosts_) each->give_up();
    world_.run_for(ns_per_ms);
    machine_.stop();
    hosts_.clear();
    return {field_.verdict.verdict(), world_.digest(), field_.answered, world_.now_ns() - ns_per_s};
  }

  reactor::sim_world world_;
  const reactor::sim_options::range usual_latency_ns_ = world_.options().disk_latency_ns;
  field field_;
  const scenario_options options_;
  machine machine_;
  config::model model_;
  tier_kind tiers_ = tier_kind::none;
  bool rotten_ = false;        // blocks of the journal may be lost
  bool flash_failed_ = false;  // writes to it, in the life of now
  bool withheld_ = false;      // the gateway rightly does not serve the disk
  std::vector<std::unique_ptr<host>> hosts_;
};

}  // namespace

report run_scenario(std::uint64_t seed, actors& all, const scenario_options& options) {
  auto made = std::make_unique<history>(seed, all, options);
  try {
    return made->run();
  } catch (const control_hangs&) {
    static_cast<void>(made.release());  // nothing of it can be torn down
    throw;
  }
}

}  // namespace sluice::sim
