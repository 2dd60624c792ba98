#include "gateway/control/views.hpp"

#include <utility>

namespace sluice::control::view {

using nlohmann::json;

namespace {

/// Builds an object in place. A list in braces would make each member twice, and a gateway has thousands of units.
class object {
 public:
  explicit object(json& out) : members_((out = json::object()).get_ref<json::object_t&>()) {}
  object& add(const char* name, json value) {
    members_.insert_or_assign(name, std::move(value));
    return *this;
  }
  template <class Each>
  object& add_all(const char* name, const std::vector<Each>& all) {
    json::array_t list;
    list.reserve(all.size());
    for (const Each& each : all) list.emplace_back(each);
    return add(name, std::move(list));
  }

 private:
  json::object_t& members_;
};

}  // namespace

void to_json(json& out, const command& v) {
  object shown(out);
  shown.add("class", v.what)
      .add("count", v.count)
      .add("errors", v.errors)
      .add("attentions", v.attentions)
      .add("unsupported", v.unsupported)
      .add("bytes", v.bytes)
      .add("p50_us", v.p50_us)
      .add("p99_us", v.p99_us)
      .add("p999_us", v.p999_us)
      .add("max_us", v.max_us)
      .add("total_us", v.total_us)
      .add("up_to", v.up_to);
  if (!v.latencies.empty()) shown.add("latencies", v.latencies);
}

void to_json(json& out, const reactor& v) {
  object shown(out);
  shown.add("index", v.index).add("kind", v.kind).add("cpu_s", v.cpu_s).add("health", v.health);
  if (v.silent_s > 0) shown.add("silent_s", v.silent_s);
  shown.add("buffers_used_bytes", v.buffers_used_bytes).add("buffers_limit_bytes", v.buffers_limit_bytes);
}

void to_json(json& out, const gateway& v) {
  object(out)
      .add("name", v.name)
      .add("version", v.version)
      .add("uptime_s", v.uptime_s)
      .add("state_health", v.state_health)
      .add("log_lines_dropped", v.log_lines_dropped)
      .add("max_sessions", v.max_sessions)
      .add("task_management", v.task_management)
      .add("latency_edges_us", latency_edges_us)
      .add_all("reactors", v.reactors);
}

void to_json(json& out, const store& v) {
  object shown(out);
  shown.add("name", v.name).add("type", v.type).add("size_bytes", v.size_bytes).add("health", v.health);
  if (!v.warning.empty()) shown.add("warning", v.warning);
  if (!v.over.empty()) shown.add("over", v.over);
  if (!v.figures.empty()) shown.add("figures", v.figures);
  if (!v.counters.empty()) shown.add("counters", v.counters);
}

void to_json(json& out, const came_by& v) {
  object(out).add("gateway", v.gateway).add("commands", v.commands);
}

void to_json(json& out, const unit& v) {
  object shown(out);
  shown.add("name", v.name)
      .add("store", v.store)
      .add("size_bytes", v.size_bytes)
      .add("block_size", v.block_size)
      .add("serial", v.serial)
      .add("naa", v.naa)
      .add("read_only", v.read_only)
      .add("health", v.health)
      .add_all("commands", v.commands);
  if (!v.owner.empty()) shown.add("owner", v.owner).add_all("came_by", v.came_by);
}

void to_json(json& out, const ending& v) {
  object(out).add("name", v.name).add("store", v.store).add("health", v.health);
}

void to_json(json& out, const lun& v) {
  object(out).add("lun", v.number).add("unit", v.unit);
}

void to_json(json& out, const port& v) {
  object(out).add("fabric", v.fabric).add("name", v.name).add("portals", v.portals).add("group", v.group);
}

void to_json(json& out, const session& v) {
  object(out)
      .add("id", v.id)
      .add("initiator", v.initiator)
      .add("peer", v.peer)
      .add("target", v.target)
      .add("port", v.port)
      .add("group", v.group)
      .add("parameters", v.parameters)
      .add("age_s", v.age_s)
      .add("commands", v.commands)
      .add("bytes", v.bytes);
}

void to_json(json& out, const access& v) {
  object shown(out);
  shown.add("initiator", v.initiator).add("settings", v.settings);
  if (v.has_own_luns) shown.add_all("luns", v.luns);
}

void to_json(json& out, const target& v) {
  object(out)
      .add("name", v.name)
      .add("open", v.open)
      .add_all("luns", v.luns)
      .add_all("ports", v.ports)
      .add_all("access", v.access)
      .add_all("sessions", v.sessions);
}

void to_json(json& out, const connection& v) {
  out = {{"id", v.id},       {"fabric", v.fabric}, {"peer", v.peer},
         {"stage", v.stage}, {"age_s", v.age_s},   {"bytes", v.bytes}};
}

void to_json(json& out, const connections& v) {
  json addresses = json::array();
  for (const auto& [address, count] : v.addresses) addresses.push_back({{"address", address}, {"count", count}});
  out = {{"count", v.count}, {"oldest", v.oldest}, {"addresses", std::move(addresses)}, {"refused", v.refused}};
  for (const auto& [what, counts] : v.counted) out[what] = counts;
}

void to_json(json& out, const file_system& v) {
  object(out).add("of", v.of).add("path", v.path).add("free_bytes", v.free_bytes).add("size_bytes", v.size_bytes);
}

void to_json(json& out, const member& v) {
  object(out).add("gateway", v.gateway).add("id", v.id).add("self", v.self).add("state", v.state);
}

void to_json(json& out, const cluster& v) {
  object(out).add("name", v.name).add("holds", v.holds).add_all("members", v.members);
}

void to_json(json& out, const status& v) {
  object shown(out);
  shown.add("gateway", v.gateway).add_all("stores", v.stores).add_all("units", v.units).add_all("targets", v.targets);
  if (!v.ending.empty()) shown.add_all("ending", v.ending);
  if (v.cluster) shown.add("cluster", *v.cluster);
  shown.add("connections", v.connections).add_all("file_systems", v.file_systems);
}

void to_json(json& out, const registrant& v) {
  object(out)
      .add("initiator", v.initiator)
      .add("port", v.port)
      .add("key", v.key)
      .add("holder", v.holder)
      .add("all_target_ports", v.all_target_ports);
}

void to_json(json& out, const reservations& v) {
  object(out)
      .add("unit", v.unit)
      .add("generation", v.generation)
      .add("persists", v.persists)
      .add("type", v.type)
      .add_all("registrants", v.registrants);
}

}  // namespace sluice::control::view
