#include "gateway/control/metrics.hpp"

#include <initializer_list>
#include <map>
#include <set>
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

/// What a family is, for people; by the beginning of its name, so that the figures of stores have one, too.
constexpr std::pair<std::string_view, std::string_view> explanations[] = {
    {"sluice_cluster_configuration_newest", "The newest version of what the gateways of the cluster share."},
    {"sluice_cluster_configuration_version", "The version that is in force, by gateway; 0: none."},
    {"sluice_cluster_gateway_drained", "Whether a gateway is to own no unit."},
    {"sluice_cluster_gateway_gone", "Whether a gateway has not renewed its membership, and is fenced."},
    {"sluice_cluster_gateway_units", "Units that a gateway owns."},
    {"sluice_cluster_holds", "Whether this gateway may answer for what is shared."},
    {"sluice_cluster_commands_total", "Commands to a unit that ended here, by the gateway that a host sent them to."},
    {"sluice_connections_without_session", "Connections that have no session: logging in, or in discovery."},
    {"sluice_digest_errors_total", "PDUs whose header or data digest was wrong."},
    {"sluice_filesystem_free_bytes", "Room in a file system that the gateway writes to, by the key that names it."},
    {"sluice_filesystem_size_bytes", "Size of a file system that the gateway writes to."},
    {"sluice_log_lines_dropped_total", "Lines of the log that nobody took from standard error."},
    {"sluice_logins_total", "Logins that went through, to a session or for discovery."},
    {"sluice_reactor_buffers_limit_bytes", "The most memory for data in flight that an event loop takes."},
    {"sluice_reactor_buffers_used_bytes", "Memory for data in flight that an event loop has in use."},
    {"sluice_reactor_cpu_seconds_total", "Processor time of an event loop."},
    {"sluice_reactor_healthy", "Whether an event loop turns."},
    {"sluice_refusals_total", "Logins and connections that were refused, by status or reason."},
    {"sluice_rejects_total", "PDUs that were answered by a Reject."},
    {"sluice_sessions_limit", "The most sessions that the gateway takes."},
    {"sluice_state_healthy", "Whether the state directory keeps what must last."},
    {"sluice_store_healthy", "Whether a store's medium is well."},
    {"sluice_store_size_bytes", "Size of a store."},
    {"sluice_store_", "A figure of the store's type, as sluice status shows it."},
    {"sluice_target_sessions", "Sessions at a target."},
    {"sluice_task_management_total", "Task management functions that initiators asked for."},
    {"sluice_unit_attentions_total", "Commands that were told a unit attention."},
    {"sluice_unit_bytes_total", "Octets that commands moved."},
    {"sluice_unit_commands_total", "Commands that ended."},
    {"sluice_unit_errors_total",
     "Commands that failed or were aborted, but for unit attentions and what is not supported."},
    {"sluice_unit_healthy", "Whether a logical unit serves."},
    {"sluice_unit_latency_seconds", "Time from a command's arrival to its status."},
    {"sluice_unit_size_bytes", "Size of a logical unit."},
    {"sluice_unit_unsupported_total", "Commands that asked for what a unit does not support: hosts probe."},
    {"sluice_uptime_seconds", "Time since the gateway started."},
};

std::string_view explanation_of(std::string_view family) {
  for (const auto& [beginning, sentence] : explanations)
    if (family.starts_with(beginning)) return sentence;
  return "A figure of the gateway.";
}

/// Samples of one family stand together: the format asks for it.
class exposition {
 public:
  void add(const std::string& name, labels of, const json& value) {
    if (!value.is_number() && !value.is_boolean()) return;
    const json number = value.is_boolean() ? json(value.get<bool>() ? 1 : 0) : value;
    add_line(families_[name], name, of, "", number);
  }
  /// `up_to`: how many were no greater than each of `edges`.
  void add_histogram(const std::string& name, labels of, const std::vector<double>& edges, const json& up_to,
                     const json& sum, const json& count) {
    if (!up_to.is_array() || up_to.size() != edges.size() || !sum.is_number() || !count.is_number()) return;
    family& in = families_[name];
    in.type = "histogram";
    for (std::size_t i = 0; i < edges.size(); ++i)
      add_line(in, name + "_bucket", of, "le=\"" + json(edges[i]).dump() + '"', up_to[i]);
    add_line(in, name + "_bucket", of, "le=\"+Inf\"", count);
    add_line(in, name + "_sum", of, "", sum);
    add_line(in, name + "_count", of, "", count);
  }
  std::string whole() const {
    std::string out;
    for (const auto& [name, one] : families_) {
      const char* const type = one.type ? one.type : name.ends_with("_total") ? "counter" : "gauge";
      out.append("# HELP ").append(name).append(" ").append(explanation_of(name)) += '\n';
      out.append("# TYPE ").append(name).append(" ").append(type) += '\n';
      for (const std::string& line : one.lines) out += line;
    }
    return out;
  }

 private:
  struct family {
    const char* type = nullptr;  // null: as the name says
    std::vector<std::string> lines;
  };

  static void add_line(family& to, const std::string& name, labels of, const std::string& last, const json& number) {
    std::string line = name;
    char between = '{';
    for (const auto& [label, content] : of) {
      (line += between).append(label) += "=\"" + escaped(content) + '"';
      between = ',';
    }
    if (!last.empty()) line += std::exchange(between, ',') + last;
    if (between == ',') line += '}';
    to.lines.push_back(line + ' ' + number.dump() + '\n');
  }

  std::map<std::string, family> families_;
};

constexpr double us_per_s = 1e6;

/// Microseconds as seconds; what is no number stays.
json seconds(const json& us) {
  return us.is_number() ? json(us.get<double>() / us_per_s) : json();
}

const json& list(const json& from, const char* name) {
  static const json nothing = json::array();
  const auto found = from.find(name);
  return found != from.end() && (found->is_array() || found->is_object()) ? *found : nothing;
}

void add_unit(exposition& out, const json& unit, const std::vector<double>& edges_s) {
  const std::string name = text(unit, "name");
  out.add("sluice_unit_healthy", {{"unit", name}}, text(unit, "health") == "good");
  out.add("sluice_unit_size_bytes", {{"unit", name}}, unit.value("size_bytes", json()));
  for (const json& command : list(unit, "commands")) {
    const std::string what = text(command, "class");
    out.add("sluice_unit_commands_total", {{"unit", name}, {"class", what}}, command.value("count", json()));
    out.add("sluice_unit_errors_total", {{"unit", name}, {"class", what}}, command.value("errors", json()));
    out.add("sluice_unit_attentions_total", {{"unit", name}, {"class", what}}, command.value("attentions", json()));
    out.add("sluice_unit_unsupported_total", {{"unit", name}, {"class", what}}, command.value("unsupported", json()));
    out.add("sluice_unit_bytes_total", {{"unit", name}, {"class", what}}, command.value("bytes", json()));
    out.add_histogram("sluice_unit_latency_seconds", {{"unit", name}, {"class", what}}, edges_s,
                      command.value("up_to", json()), seconds(command.value("total_us", json())),
                      command.value("count", json()));
  }
}

/// A store's figure with its unit written out, and with _total when it only grows.
std::string metric_name(const std::string& figure, bool counts) {
  std::string name = figure;
  for (const auto& [shorter, whole] : {std::pair{"_us", "_seconds"}, std::pair{"_per_s", "_per_second"}})
    if (name.ends_with(shorter)) name.replace(name.size() - std::string_view(shorter).size(), std::string::npos, whole);
  return counts ? name + "_total" : name;
}

void add_store(exposition& out, const json& store) {
  const std::string name = text(store, "name");
  const std::string type = text(store, "type");
  out.add("sluice_store_healthy", {{"store", name}, {"type", type}}, text(store, "health") == "good");
  out.add("sluice_store_size_bytes", {{"store", name}, {"type", type}}, store.value("size_bytes", json()));
  std::set<std::string> counters;
  for (const json& each : list(store, "counters"))
    if (each.is_string()) counters.insert(each.get<std::string>());
  for (const auto& [figure, value] : list(store, "figures").items())
    out.add("sluice_store_" + metric_name(figure, counters.contains(figure)), {{"store", name}, {"type", type}},
            figure.ends_with("_us") ? seconds(value) : value);
}

/// Counts of one kind of thing, told apart by one label.
void add_counts(exposition& out, const std::string& name, std::string_view label, const json& counts) {
  for (const auto& [kind, count] : counts.items()) out.add(name, {{label, kind}}, count);
}

/// What this gateway sees of its cluster.
void add_cluster(exposition& out, const json& cluster, const json& units) {
  out.add("sluice_cluster_holds", {}, cluster.value("holds", json()));
  std::map<std::string, std::size_t> owns;
  for (const json& unit : units) {
    ++owns[text(unit, "owner")];
    for (const json& each : list(unit, "came_by"))
      out.add("sluice_cluster_commands_total", {{"unit", text(unit, "name")}, {"gateway", text(each, "gateway")}},
              each.value("commands", json()));
  }
  for (const json& each : list(cluster, "members")) {
    const std::string gateway = text(each, "gateway"), state = text(each, "state");
    out.add("sluice_cluster_gateway_gone", {{"gateway", gateway}}, state == "gone");
    out.add("sluice_cluster_gateway_drained", {{"gateway", gateway}}, state == "drained");
    out.add("sluice_cluster_gateway_units", {{"gateway", gateway}}, owns[gateway]);
  }
  const json& configuration = list(cluster, "configuration");
  if (!configuration.is_object()) return;
  out.add("sluice_cluster_configuration_newest", {}, configuration.value("newest", json()));
  for (const json& each : list(configuration, "gateways"))
    out.add("sluice_cluster_configuration_version", {{"gateway", text(each, "gateway")}},
            each.value("version", json()));
}

void add_gateway(exposition& out, const json& gateway) {
  out.add("sluice_uptime_seconds", {}, gateway.value("uptime_s", json()));
  if (gateway.contains("state_health")) out.add("sluice_state_healthy", {}, text(gateway, "state_health") == "good");
  out.add("sluice_log_lines_dropped_total", {}, gateway.value("log_lines_dropped", json()));
  out.add("sluice_sessions_limit", {}, gateway.value("max_sessions", json()));
  add_counts(out, "sluice_task_management_total", "function", list(gateway, "task_management"));
  for (const json& reactor : list(gateway, "reactors")) {
    const std::string index = reactor.value("index", json()).dump();
    out.add("sluice_reactor_cpu_seconds_total", {{"reactor", index}}, reactor.value("cpu_s", json()));
    if (reactor.contains("health"))
      out.add("sluice_reactor_healthy", {{"reactor", index}}, text(reactor, "health") == "good");
    out.add("sluice_reactor_buffers_used_bytes", {{"reactor", index}}, reactor.value("buffers_used_bytes", json()));
    out.add("sluice_reactor_buffers_limit_bytes", {{"reactor", index}}, reactor.value("buffers_limit_bytes", json()));
  }
}

}  // namespace

std::string metrics_text(const json& status) {
  exposition out;
  const json& gateway = list(status, "gateway");
  if (gateway.is_object()) add_gateway(out, gateway);
  std::vector<double> edges_s;
  for (const json& edge : list(gateway, "latency_edges_us")) edges_s.push_back(seconds(edge).get<double>());
  for (const json& unit : list(status, "units")) add_unit(out, unit, edges_s);
  for (const json& store : list(status, "stores")) add_store(out, store);
  if (const json& cluster = list(status, "cluster"); cluster.is_object())
    add_cluster(out, cluster, list(status, "units"));
  for (const json& target : list(status, "targets"))
    out.add("sluice_target_sessions", {{"target", text(target, "name")}}, list(target, "sessions").size());
  for (const json& one : list(status, "file_systems")) {
    out.add("sluice_filesystem_free_bytes", {{"of", text(one, "of")}}, one.value("free_bytes", json()));
    out.add("sluice_filesystem_size_bytes", {{"of", text(one, "of")}}, one.value("size_bytes", json()));
  }
  const json& connections = list(status, "connections");
  if (connections.is_object()) {
    out.add("sluice_connections_without_session", {}, connections.value("count", json()));
    add_counts(out, "sluice_refusals_total", "reason", list(connections, "refused"));
    add_counts(out, "sluice_logins_total", "kind", list(connections, "logins"));
    add_counts(out, "sluice_digest_errors_total", "part", list(connections, "digest_errors"));
    add_counts(out, "sluice_rejects_total", "reason", list(connections, "rejects"));
  }
  return out.whole();
}

}  // namespace sluice::control
