#include <ctime>

#include "config/cli/render.hpp"
#include "config/cli/render_parts.hpp"

// What gateways of a cluster have in common.
namespace sluice::config {

namespace {

using nlohmann::json;
using row = std::vector<std::string>;

std::string time_of(std::uint64_t since_1970_s) {
  const auto time = static_cast<std::time_t>(since_1970_s);
  std::tm parts{};
  if (!::gmtime_r(&time, &parts)) return std::to_string(since_1970_s);
  char out[32];
  return {out, std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

/// What one gateway says of the configuration that they share.
const json& configuration_of(const json& cluster, const std::string& gateway) {
  static const json none;
  for (const json& each : member(member(cluster, "configuration"), "gateways"))
    if (text(each, "gateway") == gateway) return each;
  return none;
}

std::string render_members(const json& status, const json& cluster) {
  const bool shares = whole(member(cluster, "configuration"), "newest") != 0;
  std::vector<row> members{{"GATEWAY", "ID", "STATE", "OWNS"}};
  if (shares) members.front().push_back("CONFIGURATION");
  std::string problems;
  for (const json& each : member(cluster, "members")) {
    const std::string gateway = text(each, "gateway");
    std::size_t owns = 0;
    for (const json& unit : member(status, "units")) owns += text(unit, "owner") == gateway ? 1 : 0;
    const std::string state = text(each, "state");
    members.push_back({gateway + (member(each, "self") == json(true) ? " (this one)" : ""), text(each, "id"),
                       state == "drained" && owns != 0 ? "draining" : state, std::to_string(owns)});
    if (!shares) continue;
    const json& says = configuration_of(cluster, gateway);
    members.back().push_back(says.is_null() || whole(says, "version") == 0 ? "none" : text(says, "version"));
    if (const std::string health = text(says, "health"); !health.empty() && health != "good" && state != "gone")
      problems += gateway + ": " + health + "\n";
  }
  return render_table(members) + (problems.empty() ? "" : "\n" + problems);
}

}  // namespace

std::string render_cluster(const json& status) {
  const json& cluster = member(status, "cluster");
  if (cluster.is_null()) return "this gateway is in no cluster: its file has no [cluster]\n";
  std::string out = "cluster " + text(cluster, "name");
  const json& configuration = member(cluster, "configuration");
  if (whole(configuration, "newest") != 0)
    out += ", version " + text(configuration, "newest") + " of its configuration";
  if (member(cluster, "holds") != json(true)) out += ": THIS GATEWAY CANNOT RENEW ITS MEMBERSHIP, and answers BUSY";
  out += "\n\n" + render_members(status, cluster);
  std::vector<row> units{{"UNIT", "OWNER", "COMMANDS SEEN HERE, BY GATEWAY"}};
  for (const json& unit : member(status, "units")) {
    const std::string owner = text(unit, "owner");
    if (owner.empty()) continue;
    std::string came_by;
    for (const json& each : member(unit, "came_by"))
      came_by += (came_by.empty() ? "" : ", ") + text(each, "gateway") + " " + text(each, "commands");
    units.push_back({text(unit, "name"), owner, came_by.empty() ? "-" : came_by});
  }
  return units.size() == 1 ? out : out + "\n" + render_table(units);
}

std::string render_change_of_cluster(const json& change) {
  const std::string version = text(change, "version");
  if (member(change, "unchanged") == json(true)) return "version " + version + " says so already\n";
  std::string out;
  for (const json& each : member(change, "gateways")) {
    out += text(each, "gateway") + "\n";
    const json& plan = member(each, "plan");
    std::string told = plan.is_null() ? "" : render_plan(plan);
    if (const std::string problem = text(each, "problem"); !problem.empty()) told += "! " + problem + "\n";
    while (!told.empty()) {
      const std::size_t end = std::min(told.find('\n'), told.size() - 1) + 1;
      out += "  " + told.substr(0, end);
      told.erase(0, end);
    }
  }
  if (!version.empty()) out += "version " + version + " is in force\n";
  return out;
}

std::string render_history(const json& history) {
  std::vector<row> rows{{"VERSION", "TIME", "GATEWAY", "OCTETS", "DIGEST", "FROM"}};
  for (const json& each : member(history, "versions"))
    rows.push_back({text(each, "version"), time_of(whole(each, "made_s")), text(each, "gateway"), text(each, "bytes"),
                    text(each, "digest").substr(0, 12), text(each, "origin")});
  return rows.size() == 1 ? "no version yet: `sluice apply --cluster FILE` makes the first\n" : render_table(rows);
}

}  // namespace sluice::config
