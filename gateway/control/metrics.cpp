#include "gateway/control/metrics.hpp"

#include <initializer_list>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::control {

namespace {

using nlohmann::json;
using labels = std::initializer_list<std::pair<std::string_view, std::string>>;

std::string text(const json& from, const char* name) {
  const auto found = from.find(name);
  return found != from.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string escaped(const std::string& value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n')
      out += "\\n";
    else
      out += c;
  }
  return out;
}

/// Samples of one name stand together: the format asks for it.
class exposition {
 public:
  void add(const std::string& name, labels of, const json& value) {
    if (!value.is_number() && !value.is_boolean()) return;
    std::string line = name;
    char between = '{';
    for (const auto& [label, content] : of) {
      (line += between).append(label) += "=\"" + escaped(content) + '"';
      between = ',';
    }
    if (between == ',') line += '}';
    const json number = value.is_boolean() ? json(value.get<bool>() ? 1 : 0) : value;
    auto& family = families_[name];
    family.push_back(line + ' ' + number.dump() + '\n');
  }
  std::string whole() const {
    std::string out;
    for (const auto& [name, lines] : families_) {
      out += "# TYPE " + name + (name.ends_with("_total") ? " counter\n" : " gauge\n");
      for (const std::string& line : lines) out += line;
    }
    return out;
  }

 private:
  std::map<std::string, std::vector<std::string>> families_;
};

const json& list(const json& from, const char* name) {
  static const json nothing = json::array();
  const auto found = from.find(name);
  return found != from.end() && (found->is_array() || found->is_object()) ? *found : nothing;
}

void add_unit(exposition& out, const json& unit) {
  const std::string name = text(unit, "name");
  out.add("sluice_unit_healthy", {{"unit", name}}, text(unit, "health") == "good");
  out.add("sluice_unit_size_bytes", {{"unit", name}}, unit.value("size_bytes", json()));
  for (const json& command : list(unit, "commands")) {
    const std::string what = text(command, "class");
    out.add("sluice_unit_commands_total", {{"unit", name}, {"class", what}}, command.value("count", json()));
    out.add("sluice_unit_errors_total", {{"unit", name}, {"class", what}}, command.value("errors", json()));
    out.add("sluice_unit_bytes_total", {{"unit", name}, {"class", what}}, command.value("bytes", json()));
    for (const auto& [quantile, key] : {std::pair{"0.5", "p50_us"}, {"0.99", "p99_us"}, {"0.999", "p999_us"}})
      out.add("sluice_unit_latency_us", {{"unit", name}, {"class", what}, {"quantile", quantile}},
              command.value(key, json()));
  }
}

void add_store(exposition& out, const json& store) {
  const std::string name = text(store, "name");
  const std::string type = text(store, "type");
  out.add("sluice_store_healthy", {{"store", name}, {"type", type}}, text(store, "health") == "good");
  out.add("sluice_store_size_bytes", {{"store", name}, {"type", type}}, store.value("size_bytes", json()));
  for (const auto& [figure, value] : list(store, "figures").items())
    out.add("sluice_store_" + figure, {{"store", name}, {"type", type}}, value);
}

}  // namespace

std::string metrics_text(const json& status) {
  exposition out;
  const json& gateway = list(status, "gateway");
  out.add("sluice_uptime_seconds", {}, gateway.is_object() ? gateway.value("uptime_s", json()) : json());
  if (gateway.is_object() && gateway.contains("state_health"))
    out.add("sluice_state_healthy", {}, text(gateway, "state_health") == "good");
  if (gateway.is_object()) out.add("sluice_log_lines_dropped_total", {}, gateway.value("log_lines_dropped", json()));
  for (const json& reactor : list(gateway, "reactors"))
    out.add("sluice_reactor_cpu_seconds_total", {{"reactor", reactor.value("index", json()).dump()}},
            reactor.value("cpu_s", json()));
  for (const json& unit : list(status, "units")) add_unit(out, unit);
  for (const json& store : list(status, "stores")) add_store(out, store);
  for (const json& target : list(status, "targets"))
    out.add("sluice_target_sessions", {{"target", text(target, "name")}}, list(target, "sessions").size());
  const json& connections = list(status, "connections");
  if (connections.is_object()) {
    out.add("sluice_connections_without_session", {}, connections.value("count", json()));
    for (const auto& [reason, count] : list(connections, "refused").items())
      out.add("sluice_refusals_total", {{"reason", reason}}, count);
  }
  return out.whole();
}

}  // namespace sluice::control
