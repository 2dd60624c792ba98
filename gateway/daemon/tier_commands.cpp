#include "gateway/daemon/tier_commands.hpp"

#include <optional>

#include "actors/observe/log.hpp"
#include "config/schema/diagnostic.hpp"
#include "gateway/daemon/unknown_names.hpp"

namespace sluice::daemon {

using nlohmann::json;

namespace {

/// `medium`: it need lie over no other.
result<std::shared_ptr<store::store>> find_tier(const gateway& of, const std::string& name, bool medium) {
  const auto seen = of.seen();
  const config::store_config* config = config::find_named(seen->model->stores, name);
  if (!config) return no_store(*seen, name);
  if (config->over.empty() && !medium)
    return fail(errc::invalid_argument, "store '" + name + "' lies over no other: it is no cache");
  return seen->stores.at(name);
}

result<json> drop(const std::string& name, store::store& tier) {
  if (auto done = tier.drop(); !done) return fail(done.error().code, "store '" + name + "': " + done.error().message);
  SLUICE_LOG(info, "control", "cache dropped", {"store", name});
  return json::object();
}

result<json> give_up_lost(const std::string& name, store::store& tier) {
  const auto octets = tier.give_up_lost();
  if (!octets) return fail(octets.error().code, "store '" + name + "': " + octets.error().message);
  if (*octets == 0) return fail(errc::not_found, "store '" + name + "' has lost nothing");
  SLUICE_LOG(warning, "control", "lost data given up: they read as what the medium holds", {"store", name},
             {"bytes", *octets});
  return json{{"discarded_bytes", *octets}};
}

/// Without a mark it begins, with one it tells how far that has come.
json flush(store::store& tier, const json& arguments) {
  const std::uint64_t ownership =
      arguments.contains("mark") ? arguments.at("mark").get<std::uint64_t>() : tier.destage();
  return {{"mark", ownership}, {"left_bytes", tier.undestaged_bytes(ownership)}, {"health", tier.health()}};
}

result<json> record(store::store& tier, const json& arguments, std::uint64_t now_ns) {
  const auto action = arguments.at("action").get<std::string>();
  const auto how = action == "start"   ? std::optional(store::recording::start)
                   : action == "fetch" ? std::optional(store::recording::fetch)
                   : action == "stop"  ? std::optional(store::recording::stop)
                                       : std::nullopt;
  if (!how)
    return fail(errc::invalid_argument, "action: \"" + action + "\" is not a choice" +
                                            config::did_you_mean(action, {"start", "fetch", "stop"}) +
                                            "; start, fetch or stop");
  auto part = tier.record(*how, now_ns);
  if (!part) return tl::unexpected(part.error());
  return json{{"lines", std::move(part->lines)}, {"requests", part->requests}, {"lost", part->lost}};
}

}  // namespace

result<json> do_tier_command(gateway& of, const std::string& command, const json& arguments) {
  const auto name = arguments.at("store").get<std::string>();
  const auto tier = find_tier(of, name, command == "cache.resolve");
  if (!tier) return tl::unexpected(tier.error());
  if (command == "cache.flush") return flush(**tier, arguments);
  if (command == "cache.record") return record(**tier, arguments, of.cores().front()->loop().now_ns());
  const auto changing = of.hold_changes();
  if (command == "cache.drop") return drop(name, **tier);
  if (command == "cache.resolve") return give_up_lost(name, **tier);
  return fail(errc::invalid_argument, "no command '" + command + "'");
}

}  // namespace sluice::daemon
