#include <algorithm>
#include <ctime>
#include <random>
#include <utility>

#include "actors/observe/log.hpp"
#include "gateway/daemon/cluster_configuration.hpp"
#include "gateway/daemon/cluster_plan.hpp"

// What this gateway proposes to the others of its cluster.
namespace sluice::daemon {

namespace {

using nlohmann::json;
using clock = std::chrono::steady_clock;
using state::configuration_answer;
using state::configuration_proposal;

constexpr std::chrono::milliseconds look_pause{50};
/// What a gateway may take to prepare; those that are ready wait for it, with what they have frozen.
constexpr std::chrono::seconds answer_limit{60};
/// How long the command waits for a version to be in force on the others.
constexpr std::chrono::seconds in_force_limit{15};
/// How long to find out what became of a change that was not answered.
constexpr std::chrono::seconds outcome_limit{30};

std::uint64_t draw_id() {
  std::random_device source;
  std::uint64_t id = 0;
  while (id == 0) id = static_cast<std::uint64_t>(source()) << 32 | source();
  return id;
}

json version_view(const state::configuration_version& v) {
  return {{"version", v.number}, {"made_s", v.made_s}, {"gateway", v.gateway},
          {"origin", v.origin},  {"digest", v.digest}, {"bytes", v.bytes}};
}

/// While it lasts, a proposal is this gateway's; whatever becomes of it, it is not left behind.
class proposing {
 public:
  proposing(state::shared_configuration& in, const configuration_proposal& what, std::mutex& guard, std::uint64_t& mine)
      : in_(in), what_(what), guard_(guard), mine_(mine) {
    const std::lock_guard hold(guard_);
    mine_ = what_.id;
  }
  proposing(const proposing&) = delete;
  proposing& operator=(const proposing&) = delete;
  ~proposing() {
    in_.withdraw(what_);
    const std::lock_guard hold(guard_);
    mine_ = 0;
  }

 private:
  state::shared_configuration& in_;
  const configuration_proposal& what_;
  std::mutex& guard_;
  std::uint64_t& mine_;
};

}  // namespace

std::vector<std::string> cluster_configuration::living_others() const {
  std::vector<std::string> names;
  for (const auto& each : gateway_.cluster()->members())
    if (!each.gone && each.gateway != own_name()) names.push_back(each.gateway);
  return names;
}

result<json> cluster_configuration::change(const request& wanted) {
  auto turn = turns_.take_at_once("the command to apply a configuration to the cluster");
  if (!turn) return tl::unexpected(turn.error());
  if (!gateway_.cluster()->term().holds() || !lives(own_name()))
    return fail(errc::busy, "this gateway cannot renew its membership of the cluster now: ask another one");
  const auto now = in_->look();
  if (!now) return tl::unexpected(now.error());
  if (wanted.base && *wanted.base != now->newest)
    return fail(errc::busy, "the configuration has moved on to version " + std::to_string(now->newest) +
                                ", and this one was made from version " + std::to_string(*wanted.base) +
                                ": `sluice config diff " + std::to_string(*wanted.base) + "` shows what has changed");
  if (!wanted.only_plan && now->newest != 0) {
    const auto before = in_->text(now->newest);
    if (before && *before == wanted.shared.text)
      return json{{"version", now->newest}, {"unchanged", true}, {"gateways", json::array()}};
  }
  auto model = load_(wanted.shared);
  if (!model) return tl::unexpected(model.error());
  const configuration_proposal what{draw_id(),  now->newest,   static_cast<std::uint64_t>(std::time(nullptr)),
                                    own_name(), wanted.origin, wanted.only_plan};
  const proposing until_the_end(*in_, what, guard_, mine_);
  if (auto begun = in_->propose(what, wanted.shared.text); !begun) return tl::unexpected(begun.error());
  const auto shared_model = std::make_shared<const config::model>(std::move(*model));
  return wanted.only_plan ? plan_everywhere(what, shared_model) : apply_everywhere(what, wanted, shared_model, *turn);
}

json cluster_configuration::plan_everywhere(const configuration_proposal& what,
                                            const std::shared_ptr<const config::model>& wanted) {
  const config::plan own = gateway_.plan(wanted);
  answers all{{own_name(), {what.id, own.refused.empty(), plan_text(own), {}}}};
  auto heard = gather(what, true);
  if (heard) all.merge(*heard);
  json told = {{"base", what.base}, {"gateways", json::array()}};
  if (!heard) told["refused"] = heard.error().message;
  for (const auto& [gateway, says] : all) {
    told["gateways"].push_back(gateway_view(gateway, says));
    if (!says.ready && !told.contains("refused")) told["refused"] = refusal_of(gateway, says);
  }
  return told;
}

json cluster_configuration::apply_everywhere(const configuration_proposal& what, const request& wanted,
                                             const std::shared_ptr<const config::model>& model, turns::turn& turn) {
  answers all;
  const auto done = gateway_.apply(
      model, [&](const std::string& step) { turn.tell(step); },
      [&](const config::plan& told) -> result<void> {
        all[own_name()] = {what.id, true, plan_text(told), {}};
        turn.tell("the other gateways prepare");
        auto heard = gather(what, false);
        if (!heard) return tl::unexpected(heard.error());
        all.merge(*heard);
        for (const auto& [gateway, says] : all)
          if (!says.ready) return fail(errc::busy, refusal_of(gateway, says));
        return commit(what, wanted.shared.text);
      });
  if (done && !done->refused.empty()) all[own_name()] = {what.id, false, plan_text(*done), {}};
  const std::uint64_t version = what.base + 1;
  json told = {{"base", what.base}, {"gateways", json::array()}};
  std::map<std::string, std::string> late;
  if (done && done->refused.empty()) {
    told["version"] = version;
    take_over({version, wanted.shared.text});
    is_in_force(version);
    SLUICE_LOG(info, "config", "a version of the cluster's configuration is in force", {"version", version},
               {"gateway", own_name()}, {"origin", what.origin});
    turn.tell("the other gateways put it in force");
    late = await_the_others(version);
  } else {
    told["refused"] = done ? refusal_of(own_name(), all[own_name()]) : done.error().message;
    SLUICE_LOG(warning, "config", "a configuration is refused", {"origin", what.origin},
               {"why", told["refused"].get<std::string>()});
  }
  for (const auto& [gateway, says] : all) {
    json one = gateway_view(gateway, says);
    if (const auto found = late.find(gateway); found != late.end()) one["problem"] = found->second;
    told["gateways"].push_back(std::move(one));
  }
  return told;
}

/// The others' answers, of all that live; with `all_of_them` false, until the first that is not ready.
result<cluster_configuration::answers> cluster_configuration::gather(const configuration_proposal& what,
                                                                     bool all_of_them) {
  const auto until = clock::now() + answer_limit;
  for (;;) {
    const auto now = in_->look();
    if (now && (!now->proposed || now->proposed->id != what.id))
      return fail(errc::busy, "another gateway has withdrawn the configuration: try again");
    auto heard = in_->answers(what);
    std::string missing;
    if (heard) {
      for (const std::string& each : living_others())
        if (!heard->contains(each)) missing += (missing.empty() ? "" : ", ") + each;
      const bool refused = std::any_of(heard->begin(), heard->end(), [](const auto& one) { return !one.second.ready; });
      if (missing.empty() || (refused && !all_of_them)) return heard;
    }
    if (clock::now() > until) {
      if (!heard) return heard;
      return fail(errc::timeout, missing + ": no answer within a minute");
    }
    if (!pause(look_pause)) return fail(errc::closed, "the gateway stops");
  }
}

/// Well only when it is a version for sure. One that nobody could tell of is taken over later, as by a gateway that was
/// away.
result<void> cluster_configuration::commit(const configuration_proposal& what, const std::string& text) {
  auto done = in_->commit(what, text);
  if (done || done.error().code == errc::busy) return done;
  const auto until = clock::now() + outcome_limit;
  while (clock::now() < until && pause(look_pause)) {
    const auto now = in_->look();
    if (!now) continue;
    if (now->newest == what.base + 1 && now->proposal == what.id) return {};
    if (!now->proposed || now->proposed->id != what.id) return done;
    in_->withdraw(what);  // from then on it can be no version
  }
  return fail(errc::timeout, "it is not known whether the configuration has become version " +
                                 std::to_string(what.base + 1) + ", for the Ceph cluster does not answer");
}

/// Those on which it is not in force in time, and why.
std::map<std::string, std::string> cluster_configuration::await_the_others(std::uint64_t version) {
  const auto until = clock::now() + in_force_limit;
  for (;;) {
    std::map<std::string, std::string> late;
    const auto now = in_->look();
    for (const std::string& each : living_others()) {
      state::configuration_state says;
      if (now && now->states.contains(each)) says = now->states.at(each);
      if (says.version >= version) continue;
      late[each] = says.problem.empty() ? "it is not in force there yet" : says.problem;
    }
    if (late.empty() || clock::now() > until || !pause(look_pause)) return late;
  }
}

// -- what is asked ---------------------------------------------------------------------------------------------------

result<json> cluster_configuration::history() const {
  const auto all = in_->history();
  if (!all) return tl::unexpected(all.error());
  json versions = json::array();
  for (const auto& each : *all) versions.push_back(version_view(each));
  return json{{"versions", std::move(versions)}};
}

result<shared_version> cluster_configuration::read(std::optional<std::uint64_t> version) const {
  if (!version) {
    auto newest = read_newest(*in_);
    if (newest && newest->number == 0)
      return fail(errc::not_found, "the cluster shares no configuration yet: `sluice apply --cluster FILE` makes it");
    return newest;
  }
  auto text = in_->text(*version);
  if (!text) return tl::unexpected(text.error());
  return shared_version{*version, std::move(*text)};
}

result<json> cluster_configuration::show(std::optional<std::uint64_t> version) const {
  const auto found = read(version);
  if (!found) return tl::unexpected(found.error());
  return json{{"version", found->number}, {"text", found->text}};
}

std::vector<std::string> cluster_configuration::known_gateways() const {
  const std::lock_guard hold(guard_);
  std::vector<std::string> all{own_name()};
  for (const auto& [gateway, says] : seen_.states)
    if (gateway != own_name()) all.push_back(gateway);
  return all;
}

json cluster_configuration::status() const {
  const std::lock_guard hold(guard_);
  json gateways = json::array();
  const auto members = gateway_.cluster()->members();
  for (const auto& [gateway, says] : seen_.states) {
    const auto is_it = [&name = gateway](const auto& each) { return each.gateway == name; };
    if (std::none_of(members.begin(), members.end(), is_it)) continue;  // it has left
    gateways.push_back({{"gateway", gateway},
                        {"version", gateway == own_name() ? in_force_ : says.version},
                        {"health", says.problem.empty() ? "good" : says.problem}});
  }
  return {{"version", in_force_},
          {"newest", std::max(seen_.newest, newest_->number)},
          {"health", problem_.empty() ? "good" : problem_},
          {"gateways", std::move(gateways)}};
}

}  // namespace sluice::daemon
