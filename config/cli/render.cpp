#include "config/cli/render.hpp"

#include <algorithm>

#include "config/cli/render_parts.hpp"
#include "config/schema/quantity.hpp"

namespace sluice::config {

namespace {

using nlohmann::json;
using row = std::vector<std::string>;

const json nothing;

const json& at(const json& from, const char* name) {
  return member(from, name);
}

/// A store's figure in the unit that its name ends with.
std::string figure(const std::string& name, const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (!value.is_number()) return value.dump();
  const double v = value.get<double>();
  if (name.ends_with("_bytes")) return approximate_size(v > 0 ? static_cast<std::uint64_t>(v) : 0);
  if (name.ends_with("_us")) return latency(v);
  if (name.ends_with("_ratio")) return fixed(v * 100, 1) + " %";
  return value.is_number_float() ? fixed(v, 2) : value.dump();
}

/// Columns on a terminal: UTF-8 continuation octets take none.
std::size_t width_of(const std::string& s) {
  return static_cast<std::size_t>(
      std::count_if(s.begin(), s.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

bool is_numeric(const std::string& cell) {
  return !cell.empty() && (cell == "-" || (cell[0] >= '0' && cell[0] <= '9')) &&
         cell.find('.', cell.find('.') + 1) == std::string::npos && cell.find(':') == std::string::npos;
}

std::string describe_unit(const json& unit) {
  std::string out = "unit " + text(unit, "name") + "  " + approximate_size(whole(unit, "size_bytes")) + ", " +
                    text(unit, "block_size") + " B blocks";
  if (at(unit, "read_only") == json(true)) out += ", read-only";
  if (text(unit, "health") != "good") out += "  [" + text(unit, "health") + "]";
  const std::string naa = text(unit, "naa");
  return naa.empty() ? out : out + "  " + naa;
}

std::string describe_store(const json& store) {
  std::string out =
      "store " + text(store, "name") + "  " + text(store, "type") + ", " + approximate_size(whole(store, "size_bytes"));
  if (text(store, "health") != "good") out += "  [" + text(store, "health") + "]";
  return out;
}

/// A tree that is drawn as it is built.
struct branch {
  std::string line;
  std::vector<branch> below = {};
};

void draw(std::string& out, const std::vector<branch>& branches, const std::string& indent) {
  for (std::size_t i = 0; i < branches.size(); ++i) {
    const bool last = i + 1 == branches.size();
    out += indent + (last ? "└─ " : "├─ ") + branches[i].line + "\n";
    draw(out, branches[i].below, indent + (last ? "   " : "│  "));
  }
}

const json& find_by_name(const json& list, const std::string& name) {
  for (const json& each : list)
    if (text(each, "name") == name) return each;
  return nothing;
}

/// A store and what it lies over; `depth` ends a cycle that a gateway should not report.
branch store_branch(const json& stores, const std::string& name, int depth = 0) {
  const json& store = find_by_name(stores, name);
  branch out{store.is_null() ? "store " + name : describe_store(store)};
  const std::string over = text(store, "over");
  if (!over.empty() && depth < 16) out.below.push_back(store_branch(stores, over, depth + 1));
  return out;
}

std::string describe_access(const json& access) {
  std::string out = "access " + text(access, "initiator");
  const json& settings = at(access, "settings");
  if (settings.is_object())
    for (const auto& [name, value] : settings.items())
      if (value.is_string()) out += "  " + name + " " + value.get<std::string>();
  if (!at(access, "luns").is_array() || at(access, "luns").empty()) return out;
  std::string luns;
  for (const json& lun : at(access, "luns"))
    luns += (luns.empty() ? "" : ", ") + text(lun, "lun") + " = " + text(lun, "unit");
  return out + "  LUNs " + luns;
}

branch target_branch(const json& status, const json& target) {
  branch out{"target " + text(target, "name") + (member(target, "open") == true ? "  open to everybody" : "")};
  for (const json& port : at(target, "ports")) {
    std::string portals;
    for (const json& portal : at(port, "portals"))
      if (portal.is_string()) portals += (portals.empty() ? "" : ", ") + portal.get<std::string>();
    out.below.push_back({"port " + text(port, "fabric") + " " + text(port, "name") + "  " + portals + "  group " +
                         text(port, "group")});
  }
  for (const json& lun : at(target, "luns")) {
    const json& unit = find_by_name(at(status, "units"), text(lun, "unit"));
    branch b{"LUN " + text(lun, "lun") + "  " + (unit.is_null() ? "unit " + text(lun, "unit") : describe_unit(unit))};
    if (!unit.is_null()) b.below.push_back(store_branch(at(status, "stores"), text(unit, "store")));
    out.below.push_back(std::move(b));
  }
  for (const json& access : at(target, "access")) out.below.push_back({describe_access(access)});
  for (const json& session : at(target, "sessions"))
    out.below.push_back({"session " + text(session, "id") + "  " + text(session, "initiator") + "  " +
                         text(session, "peer") + "  " + span_of_time(number(session, "age_s"))});
  return out;
}

}  // namespace

const json& member(const json& from, const char* name) {
  if (!from.is_object()) return nothing;
  const auto found = from.find(name);
  return found == from.end() ? nothing : *found;
}

std::string render_refusal(const json& refusal) {
  return text(refusal, "key") + ": " + text(refusal, "reason");
}

std::string render_plan(const json& plan) {
  std::string out;
  for (const json& step : at(plan, "steps")) out += text(step, "text") + "\n";
  for (const json& refusal : at(plan, "refused")) out += "! " + render_refusal(refusal) + "\n";
  if (out.empty()) out = "nothing to change\n";
  for (const json& warning : at(plan, "warnings"))
    out += "? " + text(warning, "key") + ": " + text(warning, "text") + "\n";
  return out;
}

std::string render_change(const json& status) {
  const json& change = at(status, "change");
  if (change.is_null()) return {};
  const std::string step = text(change, "step");
  return text(change, "what") + " is under way since " + text(change, "since") + (step.empty() ? "" : ": " + step);
}

std::string render_resize(const json& resized) {
  const json& file = at(resized, "file");
  if (file.is_null()) return {};
  return "the file does not say so yet: write size = \"" + text(file, "size") + "\" under [store." +
         text(file, "store") + "]\n";
}

std::string render_table(const std::vector<row>& rows) {
  std::vector<std::size_t> widths;
  for (const row& r : rows) {
    widths.resize(std::max(widths.size(), r.size()));
    for (std::size_t i = 0; i < r.size(); ++i) widths[i] = std::max(widths[i], width_of(r[i]));
  }
  std::string out;
  for (const row& r : rows) {
    std::string line;
    for (std::size_t i = 0; i < r.size(); ++i) {
      const std::string pad(widths[i] - width_of(r[i]), ' ');
      line += (i > 0 ? "  " : "") + (is_numeric(r[i]) ? pad + r[i] : r[i] + pad);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string render_tree(const json& status) {
  std::string out = gateway_line(status) + "\n";
  std::vector<branch> branches;
  for (const json& target : at(status, "targets")) branches.push_back(target_branch(status, target));
  draw(out, branches, "");
  return out;
}

/// Its units and sessions are shown as they were when it was silent not yet.
std::string health_of_reactor(const json& reactor) {
  const double silent_s = number(reactor, "silent_s");
  return text(reactor, "health") + (silent_s > 0 ? ", silent for " + fixed(silent_s, 1) + " s" : "");
}

std::string render_status(const json& status) {
  std::string out = gateway_line(status) + "\n";
  if (const std::string change = render_change(status); !change.empty()) out += change + "\n";
  const json& gateway = at(status, "gateway");
  if (const std::string state = text(gateway, "state_health"); !state.empty() && state != "good") out += state + "\n";
  if (const auto dropped = whole(gateway, "log_lines_dropped"))
    out += std::to_string(dropped) + " lines of the log were dropped: nobody reads standard error\n";
  std::vector<row> reactors{{"REACTOR", "KIND", "CPU", "HEALTH"}};
  for (const json& r : at(gateway, "reactors"))
    reactors.push_back({text(r, "index"), text(r, "kind"), fixed(number(r, "cpu_s"), 1) + " s", health_of_reactor(r)});
  if (reactors.size() > 1) out += "\n" + render_table(reactors);

  std::vector<row> units{{"UNIT", "HEALTH", "COMMAND", "COUNT", "ERRORS", "ATTENTIONS", "UNSUPPORTED", "DATA", "P50",
                          "P99", "P99.9", "MAX"}};
  for (const json& unit : at(status, "units")) {
    row head{text(unit, "name"), text(unit, "health")};
    for (const json& c : at(unit, "commands")) {
      if (whole(c, "count") == 0) continue;
      row line = head;
      line.insert(line.end(),
                  {text(c, "class"), text(c, "count"), text(c, "errors"), text(c, "attentions"), text(c, "unsupported"),
                   approximate_size(whole(c, "bytes")), latency(number(c, "p50_us")), latency(number(c, "p99_us")),
                   latency(number(c, "p999_us")), latency(number(c, "max_us"))});
      units.push_back(std::move(line));
      head = {"", ""};
    }
    if (!head[0].empty()) units.push_back({head[0], head[1], "-"});
  }
  for (const json& unit : at(status, "ending")) units.push_back({text(unit, "name"), text(unit, "health"), "-"});
  out += "\n" + render_table(units);

  std::vector<row> stores{{"STORE", "HEALTH", "FIGURE", "VALUE"}};
  for (const json& store : at(status, "stores")) {
    row head{text(store, "name"), text(store, "health")};
    for (const auto& [name, value] : at(store, "figures").items()) {
      stores.push_back({head[0], head[1], name, figure(name, value)});
      head = {"", ""};
    }
    if (!head[0].empty() && head[1] != "good") stores.push_back(std::move(head));
  }
  if (stores.size() > 1) out += "\n" + render_table(stores);
  return out;
}

std::string render_sessions(const json& status) {
  std::vector<row> rows{{"ID", "TARGET", "INITIATOR", "PEER", "PORT", "AGE", "PARAMETERS"}};
  for (const json& target : at(status, "targets"))
    for (const json& s : at(target, "sessions"))
      rows.push_back({text(s, "id"), text(s, "target"), text(s, "initiator"), text(s, "peer"), text(s, "port"),
                      span_of_time(number(s, "age_s")), text(s, "parameters")});
  std::string out = rows.size() == 1 ? "no sessions\n" : render_table(rows);

  const json& connections = at(status, "connections");
  if (whole(connections, "count") == 0) return out;
  std::vector<row> oldest{{"CONNECTION", "PEER", "STAGE", "AGE", "MEMORY"}};
  for (const json& c : at(connections, "oldest"))
    oldest.push_back({text(c, "id"), text(c, "peer"), text(c, "stage"), span_of_time(number(c, "age_s")),
                      approximate_size(whole(c, "bytes"))});
  std::vector<row> addresses{{"ADDRESS", "CONNECTIONS"}};
  for (const json& a : at(connections, "addresses")) addresses.push_back({text(a, "address"), text(a, "count")});
  out += "\nwithout a session: " + text(connections, "count") + "\n" + render_table(oldest);
  if (whole(connections, "count") > oldest.size() - 1) out += "…\n";
  return out + "\n" + render_table(addresses);
}

json tree_in(const json& status) {
  json out = json::object();
  for (const char* name : {"gateway", "targets", "units", "stores"})
    if (const json& part = at(status, name); !part.is_null()) out[name] = part;
  if (out.contains("gateway") && out["gateway"].is_object()) {
    json& gateway = out["gateway"];
    out["gateway"] = {
        {"name", at(gateway, "name")}, {"version", at(gateway, "version")}, {"uptime_s", at(gateway, "uptime_s")}};
  }
  for (const auto& [list, counts] : {std::pair{"units", "commands"}, {"stores", "figures"}, {"stores", "counters"}})
    if (out.contains(list) && out[list].is_array())
      for (json& each : out[list])
        if (each.is_object()) each.erase(counts);
  return out;
}

json sessions_in(const json& status) {
  json sessions = json::array();
  for (const json& target : at(status, "targets"))
    for (const json& session : at(target, "sessions")) sessions.push_back(session);
  return {{"sessions", std::move(sessions)}, {"connections", at(status, "connections")}};
}

std::string render_reservations(const json& reservations) {
  const std::string type = text(reservations, "type");
  std::string out = "unit " + text(reservations, "unit") + "  generation " + text(reservations, "generation") + ", " +
                    (type.empty() ? "not reserved" : type) +
                    (at(reservations, "persists") == json(true) ? ", persists through power loss" : "") + "\n";
  std::vector<row> rows{{"KEY", "INITIATOR", "PORT", "HOLDER"}};
  for (const json& r : at(reservations, "registrants"))
    rows.push_back({text(r, "key"), text(r, "initiator"),
                    at(r, "all_target_ports") == json(true) ? "all" : text(r, "port"),
                    at(r, "holder") == json(true) ? "holder" : ""});
  return rows.size() == 1 ? out + "no registrations\n" : out + render_table(rows);
}

std::string render_events(const json& events) {
  std::string out;
  for (const json& e : at(events, "events")) {
    const std::string gateway = text(e, "gateway");  // of a cluster's only
    out += text(e, "time") + "  " + (gateway.empty() ? "" : gateway + "  ") + text(e, "what") + "\n";
  }
  return out;
}

}  // namespace sluice::config
