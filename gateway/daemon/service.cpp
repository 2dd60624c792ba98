#include "gateway/daemon/service.hpp"

#include <cstdio>

#include "actors/observe/counters.hpp"
#include "actors/observe/log.hpp"
#include "actors/observe/recent.hpp"
#include "config/schema/plan.hpp"
#include "gateway/daemon/tier_commands.hpp"
#include "gateway/daemon/version.hpp"

namespace sluice::daemon {

using nlohmann::json;
namespace view = control::view;

namespace {

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

view::store store_view(const config::store_config& config, const store::store& opened) {
  view::store shown{
      config.name, config.type, config.over, opened.describe().size_bytes, opened.health(), nlohmann::json::object()};
  for (const store::figure& each : opened.figures())
    std::visit([&](const auto& value) { shown.figures[each.name] = value; }, each.value);
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

}  // namespace

void set_log_of(const config::gateway_config& config) {
  observe::set_log(config.log == config::log_form::json ? observe::form::json : observe::form::text,
                   static_cast<observe::level>(config.log_level));
}

service::service(gateway& served, const machine& hardware, config::known_types known,
                 std::optional<std::string> control)
    : gateway_(served),
      machine_(hardware),
      known_(std::move(known)),
      control_(std::move(control)),
      started_ns_(served.cores().front()->loop().now_ns()) {}

result<json> service::handle(const std::string& command, const json& arguments) {
  const std::lock_guard guard(one_at_a_time_);
  if (command == "status") return json(status());
  if (command == "plan") return plan(arguments.at("file").get<std::string>());
  if (command == "apply") {
    const auto file = arguments.at("file").get<std::string>();
    auto wanted = load(file);
    if (!wanted) return tl::unexpected(wanted.error());
    auto steps = plan(file);
    if (!steps || !steps->at("refused").empty()) return steps;
    if (auto done = gateway_.apply(*wanted); !done) {
      SLUICE_LOG(warning, "control", "apply refused", {"file", file}, {"why", done.error().message});
      return tl::unexpected(done.error());
    }
    set_log_of(wanted->gateway);
    SLUICE_LOG(info, "control", "applied", {"file", file});
    return steps;
  }
  if (command == "session.kick") {
    const auto id = arguments.at("id").get<std::uint64_t>();
    if (!gateway_.kick(id)) return fail(errc::not_found, "no session " + std::to_string(id));
    SLUICE_LOG(info, "control", "session kicked", {"id", id});
    return json::object();
  }
  if (command == "unit.resize") return resize(arguments);
  if (command == "events") return events(arguments.at("since").get<std::uint64_t>());
  if (command.starts_with("cache.")) return do_tier_command(gateway_, command, arguments);
  if (command == "pr.clear") {
    const auto unit = arguments.at("unit").get<std::string>();
    if (auto done = gateway_.clear_reservations(unit); !done) return tl::unexpected(done.error());
    SLUICE_LOG(warning, "control", "persistent reservations cleared", {"unit", unit});
    return json::object();
  }
  if (command == "pr.show") {
    auto found = reservations(arguments.at("unit").get<std::string>());
    if (!found) return tl::unexpected(found.error());
    return json(*found);
  }
  return fail(errc::invalid_argument, "no command '" + command + "'");
}

result<config::model> service::load(const std::string& file) const {
  auto loaded = config::load_file(file, known_);
  if (!loaded) return fail(errc::invalid_argument, loaded.error().to_string());
  if (control_) loaded->gateway.control = *control_;
  return std::move(*loaded);
}

result<json> service::plan(const std::string& file) const {
  auto wanted = load(file);
  if (!wanted) return tl::unexpected(wanted.error());
  const config::plan difference = config::make_plan(gateway_.model(), *wanted, known_);
  json steps = json::array(), refused = json::array();
  for (const config::step& step : difference.steps)
    steps.push_back({{"action", config::to_string(step.what)}, {"text", step.text}});
  for (const config::refusal& no : difference.refused) refused.push_back({{"key", no.key}, {"reason", no.reason}});
  return json{{"steps", std::move(steps)}, {"refused", std::move(refused)}};
}

result<json> service::resize(const json& arguments) {
  const auto unit = arguments.at("unit").get<std::string>();
  const auto size = arguments.at("size_bytes").get<std::uint64_t>();
  const auto found = gateway_.units().find(unit);
  if (found == gateway_.units().end()) return fail(errc::not_found, "no unit '" + unit + "'");
  if (size < found->second.medium->describe().size_bytes && !arguments.value("shrink", false))
    return fail(errc::invalid_argument,
                "the new size is smaller: what lies beyond it would be lost; say so with --shrink");
  if (auto done = gateway_.resize(unit, size); !done) return tl::unexpected(done.error());
  SLUICE_LOG(info, "control", "unit resized", {"unit", unit}, {"size_bytes", size});
  return json::object();
}

json service::events(std::uint64_t since) const {
  std::uint64_t next = 0;
  json lines = json::array();
  for (const observe::recent_line& line : observe::recent().from(since, next))
    lines.push_back({{"number", line.number}, {"time", line.time}, {"what", line.what}});
  return {{"events", std::move(lines)}, {"next", next}};
}

result<json> service::apply(const std::string& file) {
  return handle("apply", {{"file", file}});
}

void service::follow_media() {
  const std::lock_guard guard(one_at_a_time_);
  gateway_.follow_media();
}

view::unit service::unit_view(const std::string& name, const running_unit& unit) {
  view::unit shown;
  shown.name = name;
  shown.store = unit.config.store;
  shown.size_bytes = unit.facts.capacity_blocks * unit.facts.block_size;
  shown.block_size = unit.facts.block_size;
  shown.read_only = unit.facts.read_only;
  shown.serial = unit.facts.serial;
  shown.naa = hex(unit.facts.naa);
  observe::unit_counters sum;
  for (std::size_t i = 0; i < unit.shards.size(); ++i)
    gateway_.cores()[i]->call([&] { sum.merge(unit.shards[i]->inside().counters()); });
  for (std::size_t i = 0; i < observe::command_class_count; ++i) {
    const auto what = static_cast<observe::command_class>(i);
    if (sum.of(what).latency.count() > 0) shown.commands.push_back(command_view(what, sum.of(what)));
  }
  return shown;
}

view::status service::status() {
  const std::uint64_t now = gateway_.cores().front()->loop().now_ns();
  const config::model& model = gateway_.model();
  view::status shown;
  shown.gateway = {model.gateway.name, version, seconds(now - started_ns_), {}};
  for (runtime::core* core : gateway_.cores())
    shown.gateway.reactors.push_back(
        {core->loop().index(), core->loop().kind(), machine_.cpu_seconds(core->loop().index())});
  for (const config::store_config& config : model.stores) {
    shown.stores.push_back(store_view(config, *gateway_.stores().at(config.name)));
  }
  for (const auto& [name, unit] : gateway_.units()) shown.units.push_back(unit_view(name, unit));
  const std::vector<nexus::nexus_info> nexuses = gateway_.nexuses();
  for (const config::target_config& target : model.targets) {
    view::target entry{target.name, {}, {}, {}};
    for (const config::lun_config& lun : target.luns) entry.luns.push_back({lun.lun, lun.unit});
    for (const config::port_config& port : target.ports) {
      const port::port_id id{port.fabric, port.name, port.group};
      entry.ports.push_back({port.fabric, port.name, gateway_.addresses(id), port.group});
    }
    for (const nexus::nexus_info& nexus : nexuses)
      if (nexus.target == target.name)
        entry.sessions.push_back({nexus.id, nexus.initiator, nexus.peer, nexus.target, nexus.port.name,
                                  nexus.port.group, nexus.description, seconds(now - nexus.opened_ns)});
    shown.targets.push_back(std::move(entry));
  }
  return shown;
}

result<view::reservations> service::reservations(const std::string& unit) {
  const auto found = gateway_.units().find(unit);
  if (found == gateway_.units().end()) return fail(errc::not_found, "no unit '" + unit + "'");
  unit::snapshot_ptr snapshot;
  found->second.home_core->call([&] { snapshot = found->second.home->inside().snapshot(); });
  const reservations::state& kept = snapshot->reservations;
  view::reservations shown{unit, kept.generation, kept.aptpl, kept.reserved() ? type_name(kept.type) : "", {}};
  for (const reservations::registrant& each : kept.registrants)
    shown.registrants.push_back({each.who.initiator.to_string(), std::to_string(each.who.relative_target_port),
                                 hex(each.key), kept.holds(each.who), false});
  return shown;
}

}  // namespace sluice::daemon
