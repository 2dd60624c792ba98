#include "gateway/control/views.hpp"

namespace sluice::control::view {

using nlohmann::json;

void to_json(json& out, const command& v) {
  out = {{"class", v.what},    {"count", v.count},   {"errors", v.errors},   {"bytes", v.bytes},
         {"p50_us", v.p50_us}, {"p99_us", v.p99_us}, {"p999_us", v.p999_us}, {"max_us", v.max_us}};
}

void to_json(json& out, const reactor& v) {
  out = {{"index", v.index}, {"kind", v.kind}, {"cpu_s", v.cpu_s}, {"health", v.health}};
}

void to_json(json& out, const gateway& v) {
  out = {{"name", v.name}, {"version", v.version}, {"uptime_s", v.uptime_s}, {"reactors", v.reactors}};
}

void to_json(json& out, const store& v) {
  out = {{"name", v.name}, {"type", v.type}, {"size_bytes", v.size_bytes}, {"health", v.health}};
  if (!v.warning.empty()) out["warning"] = v.warning;
  if (!v.over.empty()) out["over"] = v.over;
  if (!v.figures.empty()) out["figures"] = v.figures;
}

void to_json(json& out, const unit& v) {
  out = {{"name", v.name},        {"store", v.store}, {"size_bytes", v.size_bytes}, {"block_size", v.block_size},
         {"serial", v.serial},    {"naa", v.naa},     {"read_only", v.read_only},   {"health", v.health},
         {"commands", v.commands}};
}

void to_json(json& out, const lun& v) {
  out = {{"lun", v.number}, {"unit", v.unit}};
}

void to_json(json& out, const port& v) {
  out = {{"fabric", v.fabric}, {"name", v.name}, {"portals", v.portals}, {"group", v.group}};
}

void to_json(json& out, const session& v) {
  out = {{"id", v.id},       {"initiator", v.initiator},   {"peer", v.peer},  {"target", v.target}, {"port", v.port},
         {"group", v.group}, {"parameters", v.parameters}, {"age_s", v.age_s}};
}

void to_json(json& out, const target& v) {
  out = {{"name", v.name}, {"luns", v.luns}, {"ports", v.ports}, {"sessions", v.sessions}};
}

void to_json(json& out, const status& v) {
  out = {{"gateway", v.gateway}, {"stores", v.stores}, {"units", v.units}, {"targets", v.targets}};
}

void to_json(json& out, const registrant& v) {
  out = {{"initiator", v.initiator},
         {"port", v.port},
         {"key", v.key},
         {"holder", v.holder},
         {"all_target_ports", v.all_target_ports}};
}

void to_json(json& out, const reservations& v) {
  out = {{"unit", v.unit},
         {"generation", v.generation},
         {"persists", v.persists},
         {"type", v.type},
         {"registrants", v.registrants}};
}

}  // namespace sluice::control::view
