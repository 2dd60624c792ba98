#include "tiers/cache/modes.hpp"

namespace sluice::cache {

const std::vector<const mode*>& modes() {
  static const std::vector<const mode*> all{&write_through, &write_back, &write_around};
  return all;
}

const mode* find_mode(const std::string& name) {
  for (const mode* each : modes())
    if (name == each->name) return each;
  return nullptr;
}

std::string mode_names() {
  std::string names;
  for (const mode* each : modes()) names += (names.empty() ? "" : "|") + std::string(each->name);
  return names;
}

}  // namespace sluice::cache
