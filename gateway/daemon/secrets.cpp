#include "gateway/daemon/secrets.hpp"

#include <algorithm>

#include "actors/observe/log.hpp"

namespace sluice::daemon {

result<std::map<std::string, std::shared_ptr<const port::credentials>>> read_secrets(const port::registry& fabrics,
                                                                                     const config::access_config& of) {
  std::map<std::string, std::shared_ptr<const port::credentials>> held;
  for (const port::fabric& fabric : fabrics.all()) {
    if (!fabric.read_access) continue;
    auto kept = fabric.read_access(of.settings);
    if (!kept) return tl::unexpected(kept.error());
    if (*kept) held.emplace(fabric.rules.name, std::move(*kept));
  }
  return held;
}

bool secrets_differ(const port::registry& fabrics, const access::directory& in_force, const std::string& target,
                    const config::access_config& now) {
  const auto shown = std::find_if(in_force.targets.begin(), in_force.targets.end(),
                                  [&](const access::target_entry& each) { return each.name == target; });
  if (shown == in_force.targets.end()) return false;
  const auto known = shown->initiators.find(now.initiator);
  const auto held = read_secrets(fabrics, now);
  if (!held || known == shown->initiators.end()) return false;
  return !std::equal(held->begin(), held->end(), known->second.credentials.begin(), known->second.credentials.end(),
                     [](const auto& a, const auto& b) { return a.first == b.first && a.second->equals(*b.second); });
}

void set_log_of(const config::gateway_config& config) {
  observe::set_log(config.log == config::log_form::json ? observe::form::json : observe::form::text,
                   static_cast<observe::level>(config.log_level));
}

}  // namespace sluice::daemon
