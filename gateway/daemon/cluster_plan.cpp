#include "gateway/daemon/cluster_plan.hpp"

#include "gateway/control/plan_view.hpp"

namespace sluice::daemon {

namespace {

using nlohmann::json;

std::string line_of(const json& document) {
  return document.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string plan_text(const config::plan& p) {
  std::string text = line_of(json(p));
  for (config::plan shorter = p; text.size() > state::configuration_answer::max_text; text = line_of(json(shorter))) {
    shorter.steps.resize(shorter.steps.size() / 2);
    shorter.refused.resize(std::min<std::size_t>(shorter.refused.size(), 100));
    shorter.warnings.resize(std::min<std::size_t>(p.warnings.size(), 100));
    shorter.warnings.push_back({"plan", std::to_string(p.steps.size() - shorter.steps.size()) + " more steps"});
  }
  return text;
}

json gateway_view(const std::string& gateway, const state::configuration_answer& says) {
  json out = {{"gateway", gateway}};
  if (json plan = json::parse(says.plan, nullptr, false); plan.is_object()) out["plan"] = std::move(plan);
  if (!says.problem.empty()) out["problem"] = says.problem;
  return out;
}

std::string refusal_of(const std::string& gateway, const state::configuration_answer& says) {
  if (!says.problem.empty()) return gateway + ": " + says.problem;
  const json plan = json::parse(says.plan, nullptr, false);
  if (plan.is_object() && plan.contains("refused") && !plan["refused"].empty()) {
    const json& first = plan["refused"].front();
    return gateway + ": " + first.value("key", "") + ": " + first.value("reason", "");
  }
  return gateway + ": it is not ready";
}

}  // namespace sluice::daemon
