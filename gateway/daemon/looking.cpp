#include "gateway/daemon/looking.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>

#include "actors/observe/counters.hpp"
#include "actors/observe/offloaded_log.hpp"
#include "config/schema/quantity.hpp"
#include "gateway/daemon/cluster.hpp"
#include "gateway/daemon/unknown_names.hpp"
#include "gateway/daemon/version.hpp"
#include "gateway/nexus/nexus_actor.hpp"
#include "gateway/unit/unit_actor.hpp"

namespace sluice::daemon {

namespace view = control::view;

namespace {

/// How long loops may take for their answers: whoever asks has one within 100 ms.
constexpr std::chrono::milliseconds answer_patience{70};
/// A loop that owes an answer for longer stands still: it is not asked again before it has answered.
constexpr std::uint64_t standstill_ns = 1 * ns_per_s;

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

const char* state_of(const state::cluster_authority::member& of) {
  return of.gone ? "gone" : of.drained ? "drained" : "member";
}

}  // namespace

/// What one core knows of a unit.
struct onlooker::of_unit {
  std::string name;
  std::vector<std::pair<observe::command_class, observe::command_counters>> counters;  // of what there was, 5 KiB each
  std::shared_ptr<const scsi::unit_facts> facts;                                       // the first core's only
  unit::unit_snapshot::service serves = unit::unit_snapshot::service::on;
  std::optional<gateway_id> owner;
  unit::medium_debt owed;
  std::map<gateway_id, std::uint64_t> came_by = {};
};

/// What one core said, whole.
struct onlooker::report {
  std::uint64_t asked_ns = 0;
  std::vector<nexus::nexus_info> nexuses;
  std::vector<of_unit> units;  // in the order of their names
  nexus::function_counts managed;
  std::uint64_t buffers_used = 0, buffers_limit = 0;
};

/// One question to all cores. Outlives whoever asks, should a loop answer late.
struct onlooker::question {
  std::mutex guard;
  std::condition_variable more;
  std::size_t left = 0;
  std::vector<std::optional<report>> answers;  // by core
};

/// Since when loops owe answers. Shared with questions that are under way.
struct onlooker::debts {
  std::mutex guard;
  std::vector<std::multiset<std::uint64_t>> asked_ns;  // by core: what was asked then has no answer yet

  /// 0: nothing is owed.
  std::uint64_t silent_ns(std::size_t core, std::uint64_t now_ns) {
    const std::lock_guard hold(guard);
    return asked_ns[core].empty() ? 0 : now_ns - std::min(now_ns, *asked_ns[core].begin());
  }
};

/// Looks at one core's part of the units, some in each turn: what initiators ask for is not to wait behind it.
class onlooker::core_look : public std::enable_shared_from_this<core_look> {
 public:
  core_look(std::shared_ptr<question> of, std::shared_ptr<debts> owed, std::shared_ptr<const running_snapshot> seen,
            runtime::core& core, std::size_t index, runtime::pinned_ref<nexus::core_actor> side, std::uint64_t now_ns)
      : of_(std::move(of)),
        owed_(std::move(owed)),
        seen_(std::move(seen)),
        core_(core),
        index_(index),
        side_(std::move(side)) {
    next_ = seen_->units.begin();
    found_.asked_ns = now_ns;
    const std::lock_guard hold(owed_->guard);
    owed_->asked_ns[index_].insert(now_ns);
  }

  void start() {
    core_.loop().post([self = shared_from_this()] { self->some(); });
  }

 private:
  void some() {
    constexpr int units_in_a_turn = 256;  // some 100 us
    for (int i = 0; i < units_in_a_turn && next_ != seen_->units.end(); ++i, ++next_) look_at(*next_->second);
    if (next_ != seen_->units.end()) return start();
    found_.nexuses = side_.self->gateway().list();
    found_.managed = side_.self->gateway().managed();
    found_.buffers_used = core_.loop().buffers().bytes_in_use();
    found_.buffers_limit = core_.loop().buffers().limit_bytes();
    seen_.reset();  // stores close on the thread that takes them away, never on a loop
    {
      const std::lock_guard hold(owed_->guard);
      std::multiset<std::uint64_t>& open = owed_->asked_ns[index_];
      open.erase(open.find(found_.asked_ns));
    }
    const std::lock_guard hold(of_->guard);
    of_->answers[index_] = std::move(found_);
    if (--of_->left == 0) of_->more.notify_all();
  }

  void look_at(const running_unit& unit) {
    of_unit& one = found_.units.emplace_back();
    one.name = unit.name;
    const unit::shard_actor& shard = *unit.shards[index_].self;
    if (shard.ended()) return;
    const observe::unit_counters& counters = shard.inside().counters();
    for (std::size_t i = 0; i < observe::command_class_count; ++i)
      if (const auto what = static_cast<observe::command_class>(i); counters.of(what).latency.count() > 0)
        one.counters.emplace_back(what, counters.of(what));
    one.owed = shard.inside().debt();
    one.came_by = shard.inside().came_by();
    if (index_ != 0) return;
    one.facts = std::make_shared<const scsi::unit_facts>(shard.inside().snapshot().facts);
    one.serves = shard.inside().snapshot().serves;
    if (const auto& owned = shard.inside().snapshot().owned) one.owner = owned->owner;
  }

  const std::shared_ptr<question> of_;
  const std::shared_ptr<debts> owed_;
  std::shared_ptr<const running_snapshot> seen_;
  runtime::core& core_;
  const std::size_t index_;
  const runtime::pinned_ref<nexus::core_actor> side_;
  std::map<std::string, std::shared_ptr<running_unit>>::const_iterator next_;
  report found_;
};

onlooker::onlooker(gateway& at, const machine& hardware)
    : at_(at), hardware_(hardware), started_ns_(now_ns()), owed_(std::make_shared<debts>()), kept_(at.cores().size()) {
  owed_->asked_ns.resize(at.cores().size());
}

onlooker::~onlooker() = default;

std::uint64_t onlooker::now_ns() const {
  return at_.cores().front()->loop().now_ns();
}

/// A report for each core: of now, or what it said last, or null when it never answered.
std::vector<onlooker::report_ptr> onlooker::ask(const std::shared_ptr<const running_snapshot>& seen) {
  const std::uint64_t begun_ns = now_ns();
  const std::size_t count = at_.cores().size();
  const auto asked = std::make_shared<question>();
  asked->answers.resize(count);
  std::vector<std::shared_ptr<core_look>> looks;
  bool first = false;
  for (std::size_t i = 0; i < count; ++i) {
    if (owed_->silent_ns(i, begun_ns) < standstill_ns)
      looks.push_back(std::make_shared<core_look>(asked, owed_, seen, *at_.cores()[i], i, at_.nexus_side(i), begun_ns));
    const std::lock_guard hold(guard_);
    first = first || !kept_[i];
  }
  asked->left = looks.size();
  for (const auto& each : looks) each->start();
  looks.clear();
  std::unique_lock hold(asked->guard);
  // There is nothing to show yet of a core that has never answered.
  asked->more.wait_for(hold, first ? std::chrono::nanoseconds(standstill_ns) : answer_patience,
                       [&] { return asked->left == 0; });
  std::vector<report_ptr> all(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<report>& answer = asked->answers[i];
    if (answer) all[i] = std::make_shared<const report>(std::move(*answer));
    all[i] = keep(i, all[i]);
  }
  return all;
}

/// What is shown of a core: `fresh`, or else what was kept. Histograms are too large to be kept.
onlooker::report_ptr onlooker::keep(std::size_t core, const report_ptr& fresh) {
  const std::lock_guard hold(guard_);
  report_ptr& place = kept_[core];
  if (!fresh) return place;
  if (place && place->asked_ns > fresh->asked_ns) return fresh;
  const auto slim = std::make_shared<report>();
  slim->asked_ns = fresh->asked_ns;
  slim->nexuses = fresh->nexuses;
  slim->managed = fresh->managed;
  slim->buffers_used = fresh->buffers_used;
  slim->buffers_limit = fresh->buffers_limit;
  slim->units.reserve(fresh->units.size());
  for (const of_unit& each : fresh->units)
    slim->units.push_back({each.name, {}, each.facts, each.serves, each.owner, each.owed, each.came_by});
  place = slim;
  return fresh;
}

namespace {

view::command command_view(observe::command_class what, const observe::command_counters& counted, bool with_latencies) {
  const observe::histogram& latency = counted.latency;
  view::command shown{observe::to_string(what),
                      latency.count(),
                      counted.failed,
                      counted.octets,
                      microseconds(latency.quantile_ns(0.5)),
                      microseconds(latency.quantile_ns(0.99)),
                      microseconds(latency.quantile_ns(0.999)),
                      microseconds(latency.max_ns()),
                      microseconds(latency.sum_ns()),
                      {}};
  for (std::size_t i = 0; i < shown.up_to.size(); ++i)
    shown.up_to[i] = latency.count_up_to(view::latency_edges_us[i] * ns_per_us);
  shown.attentions = counted.attentions;
  shown.unsupported = counted.unsupported;
  if (with_latencies)
    for (const auto& [edge_ns, count] : latency.parts()) shown.latencies.emplace_back(microseconds(edge_ns), count);
  return shown;
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
  for (const store::figure& each : opened.figures()) {
    std::visit([&](const auto& value) { shown.figures[each.name] = value; }, each.value);
    if (each.counts) shown.counters.push_back(each.name);
  }
  return shown;
}

std::string health_of_unit(unit::unit_snapshot::service serves, const unit::medium_debt& owed) {
  using service = unit::unit_snapshot::service;
  if (serves == service::damaged)
    return "what is kept of it cannot be read: not ready until sluice pr clear gives up its reservations and saved "
           "mode pages";
  if (serves == service::suspended) return "has lost touch with what it agrees on with other gateways";
  return health_of(owed);
}

view::access access_view(const config::access_config& access) {
  view::access shown{access.initiator, access.luns.has_value(), {}, {}};
  if (access.luns)
    for (const config::lun_config& lun : *access.luns) shown.luns.push_back({lun.lun, lun.unit});
  for (const std::string& name : access.settings.names())
    if (const std::string* text = access.settings.text(name); text && name.find("secret") == std::string::npos)
      shown.settings[name] = *text;
  return shown;
}

view::target target_view(const config::target_config& target, const running_snapshot& seen) {
  view::target entry{target.name, {}, {}, {}, target.open};
  for (const config::access_config& access : target.access) entry.access.push_back(access_view(access));
  for (const config::lun_config& lun : target.luns) entry.luns.push_back({lun.lun, lun.unit});
  for (const config::port_config& port : target.ports) {
    entry.ports.push_back({port.fabric, port.name, {}, port.group});
    for (const auto& running : seen.ports)
      if (running->config.same_identity(port)) entry.ports.back().portals = running->addresses;
  }
  return entry;
}

view::connections connections_view(const gateway& at, std::uint64_t now_ns) {
  view::connections shown;
  for (const auto& [fabric, strangers] : at.strangers()) {
    const port::strangers::overview seen = strangers->look(view::connections::most);
    shown.count += seen.count;
    for (const port::stranger& each : seen.oldest)
      shown.oldest.push_back(
          {each.id, fabric, each.peer, each.stage, seconds(now_ns - std::min(now_ns, each.since_ns)), each.bytes});
    for (const auto& [address, count] : seen.by_address) shown.addresses.push_back({address, count});
    for (const auto& [reason, count] : seen.refused) shown.refused[reason] += count;
    for (const auto& [what, counts] : seen.counted)
      for (const auto& [of, count] : counts) shown.counted[what][of] += count;
  }
  std::stable_sort(shown.addresses.begin(), shown.addresses.end(),
                   [](const auto& a, const auto& b) { return a.count > b.count; });
  shown.addresses.resize(std::min(shown.addresses.size(), view::connections::most));
  return shown;
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

/// The units of the snapshot, from what all cores said. Commands are counted where all cores told of them now; else
/// they are shown as they were when last all had: counts never fall.
void onlooker::add_units(view::status& shown, const running_snapshot& seen, const std::vector<report_ptr>& all,
                         bool all_fresh, bool with_latencies) {
  std::vector<std::size_t> at(all.size(), 0);
  std::map<std::string, std::vector<view::command>> counted;
  const std::lock_guard hold(guard_);
  for (const auto& [name, running] : seen.units) {
    const config::unit_config& config = *config::find_named(seen.model->units, name);
    view::unit& one = shown.units.emplace_back();
    one.name = name;
    one.store = config.store;
    one.block_size = config.block_size;
    std::map<observe::command_class, observe::command_counters> sum;
    auto serves = unit::unit_snapshot::service::on;
    unit::medium_debt owed;
    std::map<gateway_id, std::uint64_t> came_by;
    for (std::size_t core = 0; core < all.size(); ++core) {
      if (!all[core]) continue;
      const std::vector<of_unit>& units = all[core]->units;
      while (at[core] < units.size() && units[at[core]].name < name) ++at[core];
      if (at[core] == units.size() || units[at[core]].name != name) continue;
      const of_unit& told = units[at[core]];
      for (const auto& [what, counters] : told.counters) sum[what].merge(counters);
      add(owed, told.owed);
      for (const auto& [gateway, commands] : told.came_by) came_by[gateway] += commands;
      if (!told.facts) continue;
      serves = told.serves;
      if (told.owner && at_.cluster())
        one.owner = *told.owner == 0 ? std::string("nobody") : name_of(*at_.cluster(), *told.owner);
      one.size_bytes = told.facts->capacity_blocks * told.facts->block_size;
      one.block_size = told.facts->block_size;
      one.read_only = told.facts->read_only;
      one.serial = told.facts->serial;
      one.naa = hex(told.facts->naa);
      if (told.facts->naa >> 60 == 6) one.naa += hex(told.facts->naa_extension).substr(2);
    }
    for (const auto& [gateway, commands] : came_by) one.came_by.push_back({name_of(*at_.cluster(), gateway), commands});
    one.health = health_of_unit(serves, owed);
    if (running->tenure)
      if (const std::string why = running->tenure->trouble(); !why.empty())
        one.health = "this gateway owns it, and its store is not ready for that: " + why;
    if (!one.owner.empty() && !at_.cluster()->term().holds())
      one.health = "this gateway cannot renew its membership of the cluster, and answers BUSY";
    if (all_fresh) {
      for (const auto& [what, counters] : sum) one.commands.push_back(command_view(what, counters, with_latencies));
      if (!one.commands.empty()) counted.emplace_hint(counted.end(), name, one.commands);
    } else if (const auto before = counted_.find(name); before != counted_.end()) {
      one.commands = before->second;
    }
  }
  if (all_fresh) counted_ = std::move(counted);
}

view::status onlooker::look(bool with_latencies) {
  const std::uint64_t begun_ns = now_ns();
  const auto seen = at_.seen();
  const std::vector<report_ptr> all = ask(seen);
  const std::uint64_t now = now_ns();
  view::status shown;
  shown.gateway = {seen->model->gateway.name,
                   version,
                   seconds(now - started_ns_),
                   {},
                   at_.state_health(),
                   observe::dropped_log_lines(),
                   seen->model->gateway.max_connections};
  bool all_fresh = true;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const reactor::loop& loop = at_.cores()[i]->loop();
    const bool fresh = all[i] && all[i]->asked_ns >= begun_ns;
    all_fresh = all_fresh && fresh;
    const std::uint64_t silent_ns = fresh ? 0 : now - (all[i] ? all[i]->asked_ns : started_ns_);
    const std::uint64_t owes_ns = owed_->silent_ns(i, now);
    shown.gateway.reactors.push_back(
        {loop.index(), loop.kind(), hardware_.cpu_seconds(loop.index()),
         owes_ns < standstill_ns ? "good" : "stands still for " + std::to_string(owes_ns / ns_per_s) + " s",
         seconds(silent_ns)});
    if (!all[i]) continue;
    shown.gateway.reactors.back().buffers_used_bytes = all[i]->buffers_used;
    shown.gateway.reactors.back().buffers_limit_bytes = all[i]->buffers_limit;
    for (const auto& [function, count] : all[i]->managed.by_name()) shown.gateway.task_management[function] += count;
  }
  shown.file_systems = space_.look(places_of(*seen->model));
  for (const config::store_config& config : seen->model->stores)
    shown.stores.push_back(store_view(config, *seen->stores.at(config.name)));
  add_units(shown, *seen, all, all_fresh, with_latencies);
  for (const absent_unit& unit : seen->absent) {
    view::unit& one = shown.units.emplace_back();
    one.name = unit.name;
    one.store = unit.store;
    one.health = "left out at the start: " + unit.why;
  }
  for (const auto& unit : seen->ending)
    shown.ending.push_back({unit.name, unit.media.empty() ? std::string() : unit.media.front().name,
                            "taken away; ends when its medium has answered, or its initiators have let go"});
  std::unordered_map<std::string_view, std::size_t> number_of;
  for (const config::target_config& target : seen->model->targets) {
    number_of.emplace(target.name, shown.targets.size());
    shown.targets.push_back(target_view(target, *seen));
  }
  if (const auto cluster = at_.cluster()) {
    view::cluster& about = shown.cluster.emplace();
    about.name = seen->model->cluster ? seen->model->cluster->name : "";
    about.holds = cluster->term().holds();
    for (const auto& each : cluster->members())
      about.members.push_back({each.gateway, each.id, each.id == cluster->id(), state_of(each)});
  }
  shown.connections = connections_view(at_, now);
  std::unordered_map<std::uint64_t, std::size_t> place_of;  // among its target's; it may have channels on several cores
  for (const report_ptr& core : all) {
    if (!core) continue;
    for (const nexus::nexus_info& nexus : core->nexuses) {
      const auto of = number_of.find(nexus.target);
      if (of == number_of.end()) continue;
      std::vector<view::session>& sessions = shown.targets[of->second].sessions;
      const auto [place, is_new] = place_of.emplace(nexus.id, sessions.size());
      if (is_new)
        sessions.push_back({nexus.id, nexus.initiator, nexus.peer, nexus.target, nexus.port.name, nexus.port.group,
                            nexus.description, seconds(now - nexus.opened_ns)});
      sessions[place->second].commands += nexus.commands;
      sessions[place->second].bytes += nexus.octets;
    }
  }
  return shown;
}

result<view::reservations> look_at_reservations(gateway& at, const std::string& unit) {
  const auto seen = at.seen();
  const auto found = seen->units.find(unit);
  if (found == seen->units.end()) return no_unit(*seen, unit);
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
