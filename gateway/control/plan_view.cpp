#include "gateway/control/plan_view.hpp"

namespace sluice::config {

using nlohmann::json;

void to_json(json& out, const plan& p) {
  json steps = json::array(), refused = json::array(), warnings = json::array();
  for (const step& s : p.steps) {
    json one = {{"action", to_string(s.what)}, {"text", s.text}};
    if (!s.name.empty()) one["name"] = s.name;
    if (!s.target.empty()) one["target"] = s.target;
    if (!s.initiator.empty()) one["initiator"] = s.initiator;
    if (s.what == action::map_lun || s.what == action::change_lun || s.what == action::unmap_lun) one["lun"] = s.lun;
    if (!s.fabric.empty()) one.update({{"fabric", s.fabric}, {"group", s.group}});
    if (s.drops_sessions > 0) one["drops_sessions"] = s.drops_sessions;
    steps.push_back(std::move(one));
  }
  for (const refusal& r : p.refused) refused.push_back({{"key", r.key}, {"reason", r.reason}});
  for (const warning& w : p.warnings) warnings.push_back({{"key", w.key}, {"text", w.text}});
  out = {{"steps", std::move(steps)}, {"refused", std::move(refused)}, {"warnings", std::move(warnings)}};
}

}  // namespace sluice::config
