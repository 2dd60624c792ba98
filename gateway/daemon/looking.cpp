#include "gateway/daemon/looking.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>

#include "actors/observe/counters.hpp"
#include "config/schema/quantity.hpp"
#include "gateway/daemon/version.hpp"

namespace sluice::daemon {

namespace view = control::view;

namespace {

/// A loop that takes longer for a turn than this stands still: it is shown without what only it knows.
constexpr std::chrono::seconds patience{1};

std::string hex(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%016llx", static_cast<unsigned long long>(value));
  return text;
}

double microseconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}
double seconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e9;
}

/// What each core knows, gathered on it. Outlives whoever asks, should a loop answer late.
struct gathered {
  struct of_unit {
    std::vector<std::pair<observe::command_class, observe::command_counters>>
        counters;  // of what there was, 5 KiB each
    std::shared_ptr<const scsi::unit_facts> facts;
  };
  struct of_core {
    bool answered = false;
    std::vector<nexus::nexus_info> nexuses;
    std::vector<of_unit> units;  // in the order of the picture
  };
  std::mutex guard;
  std::condition_variable more;
  std::size_t left = 0;
  std::vector<of_core> cores;
};

/// Looks at one core's part of the units, some in each turn: what initiators ask for is not to wait behind it.
class core_look : public std::enable_shared_from_this<core_look> {
 public:
  core_look(std::shared_ptr<gathered> all, std::shared_ptr<const picture> seen, runtime::core& core, std::size_t index,
            runtime::pinned_ref<nexus::core_actor> side)
      : all_(std::move(all)), seen_(std::move(seen)), core_(core), index_(index), side_(std::move(side)) {
    next_ = seen_->units.begin();
  }

  void start() {
    core_.loop().post([self = shared_from_this()] { self->some(); });
  }

 private:
  void some() {
    constexpr int units_in_a_turn = 64;
    for (int i = 0; i < units_in_a_turn && next_ != seen_->units.end(); ++i, ++next_) look_at(*next_->second);
    if (next_ != seen_->units.end()) return start();
    found_.nexuses = side_.self->gateway().list();
    found_.answered = true;
    seen_.reset();  // stores close on the thread that takes them away, never on a loop
    const std::lock_guard hold(all_->guard);
    all_->cores[index_] = std::move(found_);
    if (--all_->left == 0) all_->more.notify_all();
  }

  void look_at(const running_unit& unit) {
    gathered::of_unit& one = found_.units.emplace_back();
    const unit::shard_actor& shard = *unit.shards[index_].self;
    if (shard.ended()) return;
    const observe::unit_counters& counters = shard.inside().counters();
    for (std::size_t i = 0; i < observe::command_class_count; ++i)
      if (const auto what = static_cast<observe::command_class>(i); counters.of(what).latency.count() > 0)
        one.counters.emplace_back(what, counters.of(what));
    if (index_ == 0) one.facts = std::make_shared<const scsi::unit_facts>(shard.inside().snapshot().facts);
  }

  const std::shared_ptr<gathered> all_;
  std::shared_ptr<const picture> seen_;
  runtime::core& core_;
  const std::size_t index_;
  const runtime::pinned_ref<nexus::core_actor> side_;
  std::map<std::string, std::shared_ptr<running_unit>>::const_iterator next_;
  gathered::of_core found_;
};

std::shared_ptr<gathered> ask_cores(gateway& at, const std::shared_ptr<const picture>& seen) {
  auto all = std::make_shared<gathered>();
  all->left = at.cores().size();
  all->cores.resize(at.cores().size());
  for (std::size_t i = 0; i < at.cores().size(); ++i)
    std::make_shared<core_look>(all, seen, *at.cores()[i], i, at.nexus_side(i))->start();
  std::unique_lock hold(all->guard);
  all->more.wait_for(hold, patience, [&] { return all->left == 0; });
  return all;
}

view::command command_view(observe::command_class what, const observe::command_counters& counted) {
  const observe::histogram& latency = counted.latency;
  return {observe::to_string(what),
          latency.count(),
          counted.failed,
          counted.octets,
          microseconds(latency.quantile_ns(0.5)),
          microseconds(latency.quantile_ns(0.99)),
          microseconds(latency.quantile_ns(0.999)),
          microseconds(latency.max_ns())};
}

view::store store_view(const config::store_config& config, const store::store& opened) {
  view::store shown{config.name,
                    config.type,
                    config.over,
                    opened.describe().size_bytes,
                    opened.health(),
                    {},
                    nlohmann::json::object()};
  const std::uint64_t said = config.settings.number("size", 0);
  if (said != 0 && said < shown.size_bytes)
    shown.warning = "its file says " + config::format_size(said) + "; write size = \"" +
                    config::format_size(shown.size_bytes) + "\"";
  for (const store::figure& each : opened.figures())
    std::visit([&](const auto& value) { shown.figures[each.name] = value; }, each.value);
  return shown;
}

view::unit unit_view(const std::string& name, const config::unit_config& config, std::size_t number,
                     const std::vector<gathered::of_core>& cores) {
  view::unit shown;
  shown.name = name;
  shown.store = config.store;
  shown.block_size = config.block_size;
  std::map<observe::command_class, observe::command_counters> sum;
  for (const gathered::of_core& core : cores) {
    if (!core.answered) continue;
    for (const auto& [what, counted] : core.units[number].counters) sum[what].merge(counted);
    const auto& facts = core.units[number].facts;
    if (!facts) continue;
    shown.size_bytes = facts->capacity_blocks * facts->block_size;
    shown.block_size = facts->block_size;
    shown.read_only = facts->read_only;
    shown.serial = facts->serial;
    shown.naa = hex(facts->naa);
    if (facts->naa >> 60 == 6) shown.naa += hex(facts->naa_extension).substr(2);
  }
  for (const auto& [what, counted] : sum) shown.commands.push_back(command_view(what, counted));
  return shown;
}

view::target target_view(const config::target_config& target, const picture& seen) {
  view::target entry{target.name, {}, {}, {}};
  for (const config::lun_config& lun : target.luns) entry.luns.push_back({lun.lun, lun.unit});
  for (const config::port_config& port : target.ports) {
    entry.ports.push_back({port.fabric, port.name, {}, port.group});
    for (const auto& running : seen.ports)
      if (running->config.same_identity(port)) entry.ports.back().portals = running->addresses;
  }
  return entry;
}

std::string type_name(reservations::type type) {
  switch (type) {
    case reservations::type::none:
      return "";
    case reservations::type::write_exclusive:
      return "write exclusive";
    case reservations::type::exclusive_access:
      return "exclusive access";
    case reservations::type::write_exclusive_registrants_only:
      return "write exclusive, registrants only";
    case reservations::type::exclusive_access_registrants_only:
      return "exclusive access, registrants only";
    case reservations::type::write_exclusive_all_registrants:
      return "write exclusive, all registrants";
    case reservations::type::exclusive_access_all_registrants:
      return "exclusive access, all registrants";
  }
  return "unknown";
}

}  // namespace

view::status look(gateway& at, const machine& hardware, std::uint64_t started_ns) {
  const std::uint64_t now = at.cores().front()->loop().now_ns();
  const auto seen = at.seen();
  const auto all = ask_cores(at, seen);
  const std::lock_guard hold(all->guard);
  view::status shown;
  shown.gateway = {seen->model->gateway.name, version, seconds(now - started_ns), {}};
  for (std::size_t i = 0; i < at.cores().size(); ++i) {
    const reactor::loop& loop = at.cores()[i]->loop();
    shown.gateway.reactors.push_back({loop.index(), loop.kind(), hardware.cpu_seconds(loop.index()),
                                      all->cores[i].answered ? "good" : "stands still"});
  }
  for (const config::store_config& config : seen->model->stores)
    shown.stores.push_back(store_view(config, *seen->stores.at(config.name)));
  std::size_t number = 0;
  for (const auto& [name, unit] : seen->units)
    shown.units.push_back(unit_view(name, *config::find_named(seen->model->units, name), number++, all->cores));
  for (const config::target_config& target : seen->model->targets) shown.targets.push_back(target_view(target, *seen));
  std::set<std::uint64_t> sessions;  // a nexus may have channels on several cores
  for (const gathered::of_core& core : all->cores)
    for (const nexus::nexus_info& nexus : core.nexuses) {
      if (!sessions.insert(nexus.id).second) continue;
      const auto of = std::find_if(shown.targets.begin(), shown.targets.end(),
                                   [&](const view::target& each) { return each.name == nexus.target; });
      if (of != shown.targets.end())
        of->sessions.push_back({nexus.id, nexus.initiator, nexus.peer, nexus.target, nexus.port.name, nexus.port.group,
                                nexus.description, seconds(now - nexus.opened_ns)});
    }
  return shown;
}

result<view::reservations> look_at_reservations(gateway& at, const std::string& unit) {
  const auto seen = at.seen();
  const auto found = seen->units.find(unit);
  if (found == seen->units.end()) return fail(errc::not_found, "no unit '" + unit + "'");
  reservations::state kept;
  at.cores().front()->call([&] {
    const unit::shard_actor& shard = *found->second->shards.front().self;
    if (!shard.ended()) kept = shard.inside().snapshot().reservations;
  });
  view::reservations shown{unit, kept.generation, kept.aptpl, kept.reserved() ? type_name(kept.type) : "", {}};
  for (const reservations::registrant& each : kept.registrants)
    shown.registrants.push_back({each.who.initiator.to_string(), std::to_string(each.who.relative_target_port),
                                 hex(each.key), kept.holds(each.who), false});
  return shown;
}

}  // namespace sluice::daemon
