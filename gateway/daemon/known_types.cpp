#include "gateway/daemon/known_types.hpp"

#include "gateway/daemon/registrations.hpp"

namespace sluice::daemon {

namespace {

struct registries {
  registries() { register_everything(stores, fabrics); }
  store::registry stores;
  port::registry fabrics;
};

const registries& everything() {
  static const registries made;
  return made;
}

}  // namespace

const store::registry& all_stores() {
  return everything().stores;
}
const port::registry& all_fabrics() {
  return everything().fabrics;
}

config::known_types known_types() {
  config::known_types known;
  for (const store::factory& factory : all_stores().all()) known.stores.emplace_back(factory.type, factory.keys);
  known.examine = [](const std::string& type, const config::settings& of) -> result<void> {
    const store::factory* const factory = all_stores().find(type);
    return factory && factory->examine ? factory->examine(of) : result<void>();
  };
  for (const port::fabric& fabric : all_fabrics().all()) known.fabrics.push_back(fabric.rules);
  return known;
}

}  // namespace sluice::daemon
