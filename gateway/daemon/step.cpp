#include "gateway/daemon/step.hpp"

namespace sluice::daemon {

const std::vector<const config::unit_config*>& change::users_of(const std::string& store) {
  if (users_.empty()) {
    const config::by_name<config::store_config> wanted_stores(wanted->stores);
    for (const config::unit_config& unit : wanted->units)
      for (const config::store_config* at = wanted_stores.find(unit.store); at;
           at = at->over.empty() ? nullptr : wanted_stores.find(at->over))
        users_[at->name].push_back(&unit);
  }
  return users_[store];
}

namespace {

result<void> prepare_one(const steps& all, std::size_t at, const driving& how) {
  if (how.interrupted && how.interrupted()) return fail(errc::closed, "the gateway stops");
  if (how.trip == at) return fail(errc::io, "tripped at step " + std::to_string(at));
  if (at == all.size()) return how.agree ? how.agree() : result<void>{};
  if (how.tell && !all[at]->told().text.empty()) how.tell(all[at]->told().text);
  return all[at]->prepare();
}

}  // namespace

result<void> prepare(const steps& all, const driving& how) {
  for (std::size_t at = 0; at <= all.size(); ++at) {
    auto done = prepare_one(all, at, how);
    if (done) continue;
    while (at-- > 0) all[at]->undo();
    return done;
  }
  return {};
}

void commit(const steps& all) {
  for (const auto& each : all) each->commit();
  for (auto it = all.rbegin(); it != all.rend(); ++it) (*it)->finish();
}

}  // namespace sluice::daemon
