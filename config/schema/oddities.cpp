#include "config/schema/oddities.hpp"

#include <algorithm>

#include "config/schema/key_reader.hpp"
#include "config/schema/model.hpp"

namespace sluice::config {

namespace {

/// Many initiators ask LUN 0 which others there are, and find none without it [SAM-5 4.7.2].
void warn_without_lun_0(const lun_map& luns, place at, const std::string& path, diagnostics& warnings) {
  const bool has = std::any_of(luns.begin(), luns.end(), [](const lun_config& each) { return each.lun == 0; });
  if (has) return;
  if (luns.empty())
    warnings.push_back({at, path + ".luns", "is empty: initiators find no disk", "LUN = \"UNIT\""});
  else
    warnings.push_back({luns.front().at, path + ".luns", "has no LUN 0, where some initiators look for the others",
                        "0 = \"UNIT\" among them"});
}

}  // namespace

diagnostics oddities_of(const model& m, const known_types& known) {
  diagnostics warnings;
  for (const target_config& target : m.targets) {
    // Where each initiator has a list of its own, the target's is nobody's.
    const bool counts = target.access.empty() || std::any_of(target.access.begin(), target.access.end(),
                                                             [](const access_config& each) { return !each.luns; });
    if (counts) warn_without_lun_0(target.luns, target.at, "target." + quoted_if_needed(target.name), warnings);
    for (const access_config& access : target.access)
      if (access.luns)
        warn_without_lun_0(*access.luns, access.at, access_path(target.name, access.initiator), warnings);
  }
  for (const fabric_rules& fabric : known.fabrics)
    if (fabric.warn) fabric.warn(m, warnings);
  sort_by_place(warnings);
  return warnings;
}

}  // namespace sluice::config
