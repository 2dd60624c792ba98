#include "gateway/daemon/unknown_names.hpp"

#include "config/schema/diagnostic.hpp"
#include "gateway/daemon/running.hpp"

namespace sluice::daemon {

namespace {

template <class Named>
tl::unexpected<error> no_such(const char* what, const std::string& name, const Named& all) {
  std::vector<std::string> names;
  for (const auto& [each, is] : all) names.push_back(each);
  return fail(errc::not_found, std::string("no ") + what + " '" + name + "'" + config::did_you_mean(name, names, "'"));
}

}  // namespace

tl::unexpected<error> no_unit(const running_snapshot& seen, const std::string& name) {
  return no_such("unit", name, seen.units);
}

tl::unexpected<error> no_store(const running_snapshot& seen, const std::string& name) {
  return no_such("store", name, seen.stores);
}

}  // namespace sluice::daemon
