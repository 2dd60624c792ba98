#include "gateway/daemon/cluster_configuration.hpp"

#include <algorithm>
#include <utility>

#include "actors/observe/log.hpp"
#include "gateway/daemon/cluster_plan.hpp"

// Taking part in what other gateways propose, and taking over what was missed; cluster_changes.cpp proposes.
namespace sluice::daemon {

namespace {

using clock = std::chrono::steady_clock;
using state::configuration_answer;
using state::configuration_proposal;

/// How often the object is looked at, and how often while other gateways wait for what it says.
constexpr std::chrono::milliseconds period{250}, short_period{50};
/// How long a gateway stays prepared: longer than who proposes waits for the others' answers.
constexpr std::chrono::seconds prepared_limit{90};
constexpr std::chrono::seconds retry_pause{5};

}  // namespace

result<shared_version> read_newest(state::shared_configuration& in) {
  const auto now = in.look();
  if (!now) return tl::unexpected(now.error());
  if (now->newest == 0) return shared_version{};
  auto text = in.text(now->newest);
  if (!text) return tl::unexpected(text.error());
  return shared_version{now->newest, std::move(*text)};
}

cluster_configuration::cluster_configuration(gateway& served, turns& turns_of,
                                             std::shared_ptr<state::shared_configuration> in, shared_version in_force,
                                             loader load)
    : gateway_(served),
      turns_(turns_of),
      in_(std::move(in)),
      load_(std::move(load)),
      own_name_(served.seen()->model->gateway.name),
      newest_(std::make_shared<const shared_version>(std::move(in_force))),
      in_force_(newest_->number),
      thread_([this] { work(); }) {}

cluster_configuration::~cluster_configuration() {
  interrupt();
  stop();
}

void cluster_configuration::interrupt() {
  {
    const std::lock_guard hold(guard_);
    ends_ = true;
  }
  wake_.notify_all();
}

void cluster_configuration::stop() {
  if (thread_.joinable()) thread_.join();
}

bool cluster_configuration::ends() const {
  const std::lock_guard hold(guard_);
  return ends_;
}

bool cluster_configuration::pause(std::chrono::milliseconds time) const {
  std::unique_lock hold(guard_);
  return !wake_.wait_for(hold, time, [this] { return ends_; });
}

std::shared_ptr<const shared_version> cluster_configuration::newest() const {
  const std::lock_guard hold(guard_);
  return newest_;
}

void cluster_configuration::is_in_force(std::uint64_t version) {
  const std::lock_guard hold(guard_);
  in_force_ = version;
  if (version == newest_->number) problem_.clear();
}

void cluster_configuration::take_over(shared_version now) {
  const std::lock_guard hold(guard_);
  newest_ = std::make_shared<const shared_version>(std::move(now));
}

void cluster_configuration::set_problem(std::string why) {
  const std::lock_guard hold(guard_);
  problem_ = std::move(why);
}

bool cluster_configuration::lives(const std::string& gateway) const {
  const auto all = gateway_.cluster()->members();
  return std::any_of(all.begin(), all.end(), [&](const auto& each) { return each.gateway == gateway && !each.gone; });
}

// -- the thread ------------------------------------------------------------------------------------------------------

void cluster_configuration::work() {
  while (pause(period))
    if (gateway_.cluster()->term().holds()) look();
}

void cluster_configuration::look() {
  auto now = in_->look();
  if (!now) {
    SLUICE_LOG(warning, "config", "the cluster's configuration cannot be read", {"why", now.error().message});
    return;
  }
  const auto proposed = now->proposed;
  const std::uint64_t newest = now->newest;
  std::uint64_t in_force = 0;
  {
    const std::lock_guard hold(guard_);
    seen_ = std::move(*now);
    in_force = in_force_;
  }
  if (proposed)
    attend(*proposed);
  else if (newest > in_force)
    catch_up(newest);
  else if (newest < in_force)  // somebody has taken the object away, or put an old one there
    set_problem("the cluster's object knows version " + std::to_string(newest) + " only, and " +
                std::to_string(in_force) + " is in force here: apply it again");
  else
    set_problem({});
  tell_state();
}

void cluster_configuration::tell_state() {
  state::configuration_state now;
  {
    const std::lock_guard hold(guard_);
    now = {in_force_, problem_};
  }
  if (told_ == now) return;
  if (in_->report(own_name(), now)) told_ = now;
}

void cluster_configuration::attend(const configuration_proposal& what) {
  {
    const std::lock_guard hold(guard_);
    if (what.id == mine_ || what.id == answered_) return;
  }
  if (!lives(own_name())) return;  // it has just joined, and does not know yet who else lives
  // What nobody will decide any more: of a gateway that is gone, or of a former life of this one.
  if (what.gateway == own_name() || !lives(what.gateway)) {
    SLUICE_LOG(warning, "config", "a configuration is withdrawn: who proposed it is gone", {"gateway", what.gateway});
    in_->withdraw(what);
    return;
  }
  answered_ = what.id;
  const configuration_answer says = prepare_for(what);
  if (says.proposal != 0) in_->answer(what, own_name(), says);
}

/// What is to be answered; without a number, nothing any more.
configuration_answer cluster_configuration::prepare_for(const configuration_proposal& what) {
  configuration_answer says{what.id, false, {}, {}};
  auto turn = turns_.take("a configuration that " + what.gateway + " proposes");
  if (!turn) return says.problem = turn.error().message, says;
  auto text = in_->proposed_text(what);
  if (!text) return {};
  auto model = load_({*text, "the configuration that " + what.gateway + " proposes"});
  if (!model) return says.problem = model.error().message, says;
  const auto wanted = std::make_shared<const config::model>(std::move(*model));
  if (what.only_plan) {
    const config::plan told = gateway_.plan(wanted);
    return {what.id, told.refused.empty(), plan_text(told), {}};
  }
  bool is_answered = false;
  const auto done = gateway_.apply(
      wanted, [&](const std::string& step) { turn->tell(step); },
      [&](const config::plan& told) -> result<void> {
        is_answered = true;
        turn->tell("it waits for the other gateways");
        auto heard = in_->answer(what, own_name(), {what.id, true, plan_text(told), {}});
        return heard ? await_outcome(what) : heard;
      });
  if (done && done->refused.empty()) {
    take_over({what.base + 1, std::move(*text)});
    is_in_force(what.base + 1);
    SLUICE_LOG(info, "config", "a version of the cluster's configuration is in force", {"version", what.base + 1},
               {"gateway", what.gateway});
    return {};
  }
  if (is_answered) {
    SLUICE_LOG(info, "config", "a configuration was not agreed on", {"gateway", what.gateway},
               {"why", done.error().message});
    return {};
  }
  if (done) says.plan = plan_text(*done);
  if (!done) says.problem = done.error().message;
  return says;
}

/// Well: it is a version. Whoever cannot know it goes back, and takes the version over when it sees that there is one.
result<void> cluster_configuration::await_outcome(const configuration_proposal& what) {
  const auto until = clock::now() + prepared_limit;
  while (pause(short_period) && clock::now() < until) {
    const auto now = in_->look();
    if (!now) continue;
    if (now->newest == what.base + 1 && now->proposal == what.id) return {};
    if (!now->proposed || now->proposed->id != what.id) return fail(errc::closed, "it was withdrawn");
    if (lives(own_name()) && !lives(what.gateway)) in_->withdraw(what);
  }
  return fail(errc::timeout, "nobody has decided on it");
}

void cluster_configuration::catch_up(std::uint64_t newest) {
  const auto begun = clock::now();
  if (begun < next_try_) return;
  const auto turn = turns_.take("version " + std::to_string(newest) + " of the cluster's configuration");
  if (!turn) return;
  {
    const std::lock_guard hold(guard_);
    if (in_force_ >= newest) return;  // by whoever was at work
  }
  next_try_ = begun + retry_pause;
  auto text = in_->text(newest);
  if (!text) return set_problem(text.error().message);
  take_over({newest, std::move(*text)});
  auto model = load_(this->newest()->as_text());
  std::string why = model ? "" : model.error().message;
  if (model) {
    const auto done = gateway_.apply(std::make_shared<const config::model>(std::move(*model)), {});
    if (!done) why = done.error().message;
    if (done && !done->refused.empty()) why = done->refused.front().key + ": " + done->refused.front().reason;
  }
  next_try_ = clock::now() + retry_pause + 5 * (clock::now() - begun);
  if (why.empty()) {
    is_in_force(newest);
    SLUICE_LOG(info, "config", "a version of the cluster's configuration is in force", {"version", newest});
    return;
  }
  SLUICE_LOG(error, "config", "a version of the cluster's configuration is not in force, and tried again",
             {"version", newest}, {"why", why});
  set_problem("version " + std::to_string(newest) + " of the cluster's configuration is not in force: " + why);
}

}  // namespace sluice::daemon
