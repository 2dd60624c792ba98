#pragma once
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

/// Results of the control protocol, for people. Pure; whatever the JSON lacks is left out.
namespace sluice::config {

/// The member of that name; null when `from` has none or is no object.
const nlohmann::json& member(const nlohmann::json& from, const char* name);

std::string render_refusal(const nlohmann::json& refusal);
std::string render_plan(const nlohmann::json& plan);
/// Who is changing the gateway just now, from "status"; empty when nobody is.
std::string render_change(const nlohmann::json& status);
/// What the file must say after "unit.resize"; empty when it says so, or says nothing of sizes.
std::string render_resize(const nlohmann::json& resized);
/// The plan of each gateway of a cluster, and what became of it: "config.plan", "config.apply", "config.rollback".
std::string render_change_of_cluster(const nlohmann::json& change);
std::string render_history(const nlohmann::json& history);  // config history
std::string render_tree(const nlohmann::json& status);      // ls
std::string render_status(const nlohmann::json& status);    // status
std::string render_cluster(const nlohmann::json& status);   // cluster status
std::string render_sessions(const nlohmann::json& status);  // session ls: the sessions of all targets
/// What `ls` and `session ls` show, as JSON: parts of "status".
nlohmann::json tree_in(const nlohmann::json& status);
nlohmann::json sessions_in(const nlohmann::json& status);
std::string render_reservations(const nlohmann::json& reservations);
std::string render_events(const nlohmann::json& events);

/// Rows of cells as columns, two blanks apart; cells that look like numbers are set to the right.
std::string render_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace sluice::config
