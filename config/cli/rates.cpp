#include "config/cli/rates.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "config/cli/render.hpp"
#include "config/cli/render_parts.hpp"

namespace sluice::config {

namespace {

using nlohmann::json;

/// What was counted of some commands.
struct counted {
  double count = 0, bytes = 0, errors = 0, attentions = 0, unsupported = 0;
  std::map<double, double> latencies;  // upper edge in microseconds -> how many

  void add(const counted& other) {
    count += other.count;
    bytes += other.bytes;
    errors += other.errors;
    attentions += other.attentions;
    unsupported += other.unsupported;
    for (const auto& [edge, many] : other.latencies) latencies[edge] += many;
  }
  counted since(const counted& before) const {
    if (count < before.count) return *this;  // it was made anew
    counted grown{count - before.count,
                  std::max(0.0, bytes - before.bytes),
                  std::max(0.0, errors - before.errors),
                  std::max(0.0, attentions - before.attentions),
                  std::max(0.0, unsupported - before.unsupported),
                  {}};
    for (const auto& [edge, many] : latencies) {
      const auto had = before.latencies.find(edge);
      const double more = many - (had == before.latencies.end() ? 0 : had->second);
      if (more > 0) grown.latencies[edge] = more;
    }
    return grown;
  }
  /// None when there is no histogram.
  std::optional<double> quantile_us(double fraction) const {
    double all = 0, seen = 0;
    for (const auto& [edge, many] : latencies) all += many;
    for (const auto& [edge, many] : latencies)
      if ((seen += many) >= fraction * all) return edge;
    return std::nullopt;
  }
};

counted read_command(const json& command) {
  counted out{number(command, "count"),      number(command, "bytes"),       number(command, "errors"),
              number(command, "attentions"), number(command, "unsupported"), {}};
  for (const json& part : member(command, "latencies"))
    if (part.is_array() && part.size() == 2 && part[0].is_number() && part[1].is_number())
      out.latencies[part[0].get<double>()] = part[1].get<double>();
  return out;
}

/// By unit and class.
std::map<std::pair<std::string, std::string>, counted> read_units(const json& status) {
  std::map<std::pair<std::string, std::string>, counted> out;
  for (const json& unit : member(status, "units"))
    for (const json& command : member(unit, "commands"))
      out[{text(unit, "name"), text(command, "class")}] = read_command(command);
  return out;
}

json shown(const counted& grown, double seconds) {
  json out = {{"per_s", grown.count / seconds},
              {"bytes_per_s", grown.bytes / seconds},
              {"errors", grown.errors},
              {"attentions", grown.attentions},
              {"unsupported", grown.unsupported}};
  for (const auto& [name, fraction] : {std::pair{"p50_us", 0.5}, {"p99_us", 0.99}, {"p999_us", 0.999}, {"max_us", 1.0}})
    if (const auto edge = grown.quantile_us(fraction)) out[name] = *edge;
  return out;
}

json sessions_between(const json& before, const json& now, double seconds) {
  std::map<std::string, std::pair<double, double>> then;
  const auto each_session = [](const json& status, const auto& work) {
    for (const json& target : member(status, "targets"))
      for (const json& session : member(target, "sessions")) work(session);
  };
  each_session(before, [&then](const json& s) { then[text(s, "id")] = {number(s, "commands"), number(s, "bytes")}; });
  json out = json::array();
  each_session(now, [&](const json& s) {
    const auto& [commands, bytes] = then[text(s, "id")];
    out.push_back({{"id", member(s, "id")},
                   {"initiator", member(s, "initiator")},
                   {"target", member(s, "target")},
                   {"per_s", std::max(0.0, number(s, "commands") - commands) / seconds},
                   {"bytes_per_s", std::max(0.0, number(s, "bytes") - bytes) / seconds}});
  });
  return out;
}

std::vector<std::string> command_row(const std::string& unit, const std::string& what, const json& c) {
  return {unit,
          what,
          fixed(number(c, "per_s"), 0),
          fixed(number(c, "bytes_per_s") / 1e6, 1),
          latency(number(c, "p50_us")),
          latency(number(c, "p99_us")),
          latency(number(c, "p999_us")),
          latency(number(c, "max_us")),
          fixed(number(c, "errors"), 0)};
}

std::string first_lines(const std::string& all, std::size_t rows) {
  std::size_t end = 0;
  for (std::size_t row = 1; row < rows; ++row) {
    const std::size_t next = all.find('\n', end);
    if (next == std::string::npos) return all;
    end = next + 1;
  }
  const std::size_t last = all.find('\n', end);
  return last == std::string::npos || last + 1 == all.size() ? all : all.substr(0, end) + "…\n";
}

}  // namespace

json rates_between(const json& before, const json& now, double seconds) {
  const double length = std::max(seconds, 1e-9);
  const auto then = read_units(before);
  counted total;
  json commands = json::array();
  for (const auto& [key, is] : read_units(now)) {
    const auto was = then.find(key);
    const counted grown = was == then.end() ? is : is.since(was->second);
    if (grown.count == 0) continue;
    total.add(grown);
    json one = shown(grown, length);
    one["unit"] = key.first;
    one["class"] = key.second;
    commands.push_back(std::move(one));
  }
  return {{"gateway", member(now, "gateway")},
          {"seconds", seconds},
          {"total", shown(total, length)},
          {"commands", std::move(commands)},
          {"sessions", sessions_between(before, now, length)}};
}

std::string render_rates(const json& rates, std::size_t rows) {
  std::string out = gateway_line(rates) + "\n\n";
  std::vector<std::vector<std::string>> table{
      {"UNIT", "COMMAND", "IOPS", "MB/s", "P50", "P99", "P99.9", "MAX", "ERRORS"}};
  if (!member(rates, "commands").empty()) table.push_back(command_row("all", "all", member(rates, "total")));
  for (const json& c : member(rates, "commands")) table.push_back(command_row(text(c, "unit"), text(c, "class"), c));
  out += table.size() == 1 ? "idle\n" : render_table(table);
  std::vector<std::vector<std::string>> sessions{{"INITIATOR", "TARGET", "IOPS", "MB/s"}};
  for (const json& s : member(rates, "sessions"))
    sessions.push_back({text(s, "initiator"), text(s, "target"), fixed(number(s, "per_s"), 0),
                        fixed(number(s, "bytes_per_s") / 1e6, 1)});
  out += "\n" + (sessions.size() == 1 ? "no sessions\n" : render_table(sessions));
  return rows == 0 ? out : first_lines(out, rows);
}

}  // namespace sluice::config
