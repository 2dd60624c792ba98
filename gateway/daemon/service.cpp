#include "gateway/daemon/service.hpp"

#include <algorithm>

#include "actors/observe/log.hpp"
#include "actors/observe/recent.hpp"
#include "config/schema/quantity.hpp"
#include "gateway/control/plan_view.hpp"
#include "gateway/daemon/tier_commands.hpp"
#include "gateway/daemon/unknown_names.hpp"

namespace sluice::daemon {

using nlohmann::json;

namespace {

/// docs/control.md
const std::vector<std::string> commands{
    "status",       "plan",           "apply",         "session.kick",    "connection.kick", "unit.resize",
    "unit.move",    "cache.drop",     "cache.flush",   "cache.resolve",   "cache.record",    "pr.show",
    "pr.clear",     "events",         "cluster.drain", "cluster.undrain", "cluster.forget",  "config.plan",
    "config.apply", "config.history", "config.show",   "config.rollback", "cluster.events"};

std::string an_apply_of(const std::string& file) {
  return "an apply of " + file;
}

/// The store at the bottom of a unit's, whose file says a size; null where none does.
const config::store_config* sized_store(const config::model& model, const std::string& unit) {
  const config::unit_config* of = config::find_named(model.units, unit);
  const config::store_config* at = of ? config::find_named(model.stores, of->store) : nullptr;
  while (at && !at->settings.has("size") && !at->over.empty()) at = config::find_named(model.stores, at->over);
  return at && at->settings.has("size") ? at : nullptr;
}

}  // namespace

service::service(gateway& served, const machine& hardware, config::known_types known, options how)
    : gateway_(served),
      known_(std::move(known)),
      control_(std::move(how.control)),
      onlooker_(served, hardware),
      own_file_(std::move(how.file)) {
  if (how.shared)
    shared_.emplace(served, turns_, std::move(how.shared), std::move(how.in_force),
                    [this](const config::shared_text& shared) { return load(own_file(), &shared); });
  if (how.events) events_.emplace(served.cluster(), std::move(how.events));
  worker_ = std::thread([this] { work(); });
}

service::~service() {
  SLUICE_CHECK(!worker_.joinable());
}

result<json> service::handle(const std::string& command, const json& arguments) {
  if (std::find(commands.begin(), commands.end(), command) == commands.end())
    return fail(errc::invalid_argument, "no command '" + command + "'" + config::did_you_mean(command, commands, "'") +
                                            "; " + config::one_of(commands));
  if (command == "status") {
    json shown = onlooker_.look(arguments.value("latencies", false));
    if (const auto at_work = turns_.now())
      shown["change"] = {{"what", at_work->what}, {"since", at_work->since}, {"step", at_work->step}};
    if (shared_ && shown.contains("cluster")) shown["cluster"]["configuration"] = shared_->status();
    return shown;
  }
  if (command == "plan") return plan(arguments.at("file").get<std::string>());
  if (command == "apply") {
    const auto file = arguments.at("file").get<std::string>();
    return apply(file, turns_.take_at_once(an_apply_of(file)));
  }
  if (command == "cluster.events") return events_of_cluster(arguments);
  if (command.starts_with("config.")) return configure_cluster(command, arguments);
  if (command == "session.kick") {
    const auto id = arguments.at("id").get<std::uint64_t>();
    if (!gateway_.kick(id)) return fail(errc::not_found, "no session " + std::to_string(id));
    SLUICE_LOG(info, "control", "session kicked", {"id", id});
    return json::object();
  }
  if (command == "connection.kick") return kick_connections(arguments);
  if (command == "events") return events(arguments.at("since").get<std::uint64_t>());
  if (command == "cache.flush" || command == "cache.record") return do_tier_command(gateway_, command, arguments);
  if (command == "pr.show") {
    auto found = look_at_reservations(gateway_, arguments.at("unit").get<std::string>());
    if (!found) return tl::unexpected(found.error());
    return json(*found);
  }
  return change(command, arguments);
}

/// Ends connections that have no session: one by its number, or all of an address.
result<json> service::kick_connections(const json& arguments) {
  const bool one = arguments.contains("id");
  const std::string who = one ? arguments.at("id").dump() : arguments.at("address").get<std::string>();
  std::size_t closed = 0;
  for (const auto& [fabric, strangers] : gateway_.strangers())
    closed += one ? strangers->kick(arguments.at("id").get<std::uint64_t>()) : strangers->kick_address(who);
  if (closed == 0)
    return fail(errc::not_found, one ? "no connection " + who : "no connection from " + who + " without a session");
  SLUICE_LOG(info, "control", "connections kicked", {one ? "id" : "address", who}, {"count", closed});
  return json{{"closed", closed}};
}

/// Commands that change something, but no file's doing.
result<json> service::change(const std::string& command, const json& arguments) {
  auto turn = turns_.take("the command " + command);
  if (!turn) return tl::unexpected(turn.error());
  if (command == "unit.resize") return resize(arguments);
  if (command == "unit.move") {
    const auto unit = arguments.at("unit").get<std::string>(), to = arguments.at("to").get<std::string>();
    if (auto done = gateway_.owners().move(unit, to); !done) return tl::unexpected(done.error());
    SLUICE_LOG(info, "control", "unit moved", {"unit", unit}, {"to", to});
    return json::object();
  }
  if (command.starts_with("cluster.")) return change_cluster(command, arguments.at("gateway").get<std::string>());
  if (command.starts_with("cache.")) return do_tier_command(gateway_, command, arguments);
  const auto unit = arguments.at("unit").get<std::string>();
  if (auto done = gateway_.clear_reservations(unit); !done) return tl::unexpected(done.error());
  SLUICE_LOG(warning, "control", "persistent reservations cleared", {"unit", unit});
  return json::object();
}

std::string service::own_file() const {
  const std::lock_guard hold(guard_);
  return own_file_;
}

result<config::model> service::load(const std::string& file,
                                    const std::shared_ptr<const shared_version>& shared) const {
  if (!shared) return load(file, static_cast<const config::shared_text*>(nullptr));
  const config::shared_text text = shared->as_text();
  return load(file, &text);
}

result<config::model> service::load(const std::string& file, const config::shared_text* shared) const {
  auto loaded = shared ? config::load_file(file, *shared, known_) : config::load_file(file, known_);
  if (!loaded) return fail(errc::invalid_argument, loaded.error().to_string());
  if (control_) loaded->gateway.control = *control_;
  return std::move(*loaded);
}

result<json> service::plan(const std::string& file) {
  auto wanted = load(file, shared_ ? shared_->newest() : nullptr);
  if (!wanted) return tl::unexpected(wanted.error());
  config::plan told = gateway_.plan(std::make_shared<const config::model>(std::move(*wanted)));
  if (const auto at_work = turns_.now())
    told.warnings.push_back({"gateway", at_work->what + " is under way since " + at_work->since});
  return json(told);
}

result<json> service::apply(const std::string& file, result<turns::turn> turn) {
  if (!turn) return tl::unexpected(turn.error());
  const auto shared = shared_ ? shared_->newest() : nullptr;
  auto wanted = load(file, shared);
  if (!wanted) return tl::unexpected(wanted.error());
  const auto done = gateway_.apply(std::make_shared<const config::model>(std::move(*wanted)),
                                   [&](const std::string& step) { turn->tell(step); });
  if (!done) {
    SLUICE_LOG(warning, "control", "apply refused", {"file", file}, {"why", done.error().message});
    return tl::unexpected(done.error());
  }
  for (const config::refusal& no : done->refused)
    SLUICE_LOG(warning, "control", "apply refused", {"file", file}, {"key", no.key}, {"why", no.reason});
  for (const config::warning& but : done->warnings)
    SLUICE_LOG(warning, "control", "not as the file says", {"file", file}, {"key", but.key}, {"what", but.text});
  if (done->refused.empty()) {
    if (shared) shared_->is_in_force(shared->number);
    SLUICE_LOG(info, "control", "applied", {"file", file});
    const std::lock_guard hold(guard_);
    own_file_ = file;
  }
  return json(*done);
}

/// What is asked of the configuration that the cluster shares.
result<json> service::configure_cluster(const std::string& command, const json& arguments) {
  if (!shared_) return fail(errc::unsupported, "this gateway is in no cluster: its file has no [cluster]");
  if (command == "config.history") return shared_->history();
  std::optional<std::uint64_t> version;
  if (arguments.contains("version")) version = arguments.at("version").get<std::uint64_t>();
  if (command == "config.show") return shared_->show(version);
  cluster_configuration::request wanted;
  wanted.only_plan = command == "config.plan";
  if (command == "config.rollback") {
    const std::uint64_t to = arguments.at("version").get<std::uint64_t>();
    const auto text = shared_->read(to);
    if (!text) return tl::unexpected(text.error());
    wanted.shared = text->as_text();
    wanted.origin = "rollback to version " + std::to_string(to);
    return shared_->change(wanted);
  }
  const auto file = arguments.at("file").get<std::string>();
  auto text = config::read_shared_file(file);
  if (!text) return fail(errc::invalid_argument, text.error().message);
  wanted.shared = std::move(*text);
  wanted.origin = "apply of " + file;
  if (arguments.contains("base")) wanted.base = arguments.at("base").get<std::uint64_t>();
  return shared_->change(wanted);
}

result<json> service::change_cluster(const std::string& command, const std::string& gateway) {
  const bool drains = command == "cluster.drain", forgets = command == "cluster.forget";
  const auto done = forgets ? gateway_.owners().forget(gateway) : gateway_.owners().drain(gateway, drains);
  if (!done) return tl::unexpected(done.error());
  SLUICE_LOG(info, "control",
             forgets  ? "gateway forgotten"
             : drains ? "gateway drained"
                      : "gateway no longer drained",
             {"gateway", gateway});
  return json::object();
}

result<json> service::resize(const json& arguments) {
  const auto unit = arguments.at("unit").get<std::string>();
  const auto size = arguments.at("size_bytes").get<std::uint64_t>();
  const auto seen = gateway_.seen();
  const auto found = seen->units.find(unit);
  if (found == seen->units.end()) return no_unit(*seen, unit);
  if (size < found->second->medium->describe().size_bytes && !arguments.value("shrink", false))
    return fail(errc::invalid_argument,
                "the new size is smaller: what lies beyond it would be lost; say so with --shrink");
  if (auto done = gateway_.resize(unit, size); !done) return tl::unexpected(done.error());
  SLUICE_LOG(info, "control", "unit resized", {"unit", unit}, {"size_bytes", size});
  json told = {{"unit", unit}, {"size_bytes", size}};
  const config::store_config* store = sized_store(*seen->model, unit);
  if (store && store->settings.number("size", 0) != size)
    told["file"] = {{"store", store->name}, {"size", config::format_size(size)}};
  return told;
}

json service::events(std::uint64_t since) const {
  std::uint64_t next = 0;
  json lines = json::array();
  for (const observe::recent_line& line : observe::recent().from(since, next))
    lines.push_back({{"number", line.number}, {"time", line.time}, {"what", line.what}});
  return {{"events", std::move(lines)}, {"next", next}};
}

/// Of all gateways that ever told what they run, those that have left as well.
result<json> service::events_of_cluster(const json& arguments) const {
  if (!events_ || !shared_) return fail(errc::unsupported, "this gateway is in no cluster: its file has no [cluster]");
  std::map<std::string, std::uint64_t> since;
  for (const auto& [gateway, number] : arguments.value("since", json::object()).items())
    since[gateway] = number.get<std::uint64_t>();
  return events_->look(shared_->known_gateways(), since);
}

// -- what is not waited for ------------------------------------------------------------------------------------------

void service::apply_later(const std::string& file, std::function<void()> done) {
  {
    const std::lock_guard hold(guard_);
    reload_ = file;
    reloaded_ = std::move(done);
  }
  wake_.notify_one();
}

void service::follow_media_later() {
  {
    const std::lock_guard hold(guard_);
    media_changed_ = true;
  }
  wake_.notify_one();
}

void service::interrupt() {
  gateway_.interrupt();
  if (shared_) shared_->interrupt();
}

void service::stop() {
  {
    const std::lock_guard hold(guard_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (shared_) shared_->stop();
  if (worker_.joinable()) worker_.join();
  if (events_) events_->stop();
}

void service::work() {
  std::unique_lock hold(guard_);
  for (;;) {
    const auto called = [this] { return stopping_ || media_changed_ || reload_; };
    while (!wake_.wait_for(hold, std::chrono::milliseconds(500), called)) look_after_units(hold);
    if (stopping_) return;
    const bool media_changed = std::exchange(media_changed_, false);
    const auto file = std::exchange(reload_, std::nullopt);
    const auto reloaded = std::exchange(reloaded_, nullptr);
    hold.unlock();
    if (media_changed) {
      const auto turn = turns_.wait("a medium's change of size");
      gateway_.follow_media();
    }
    if (file) {
      reload(*file);
      reloaded();
    }
    hold.lock();
  }
}

/// Those that were taken away and wait for their media, those that wait for theirs to come, and those that another
/// gateway is to own.
void service::look_after_units(std::unique_lock<std::mutex>& hold) {
  hold.unlock();
  const auto seen = gateway_.seen();
  if (!seen->ending.empty())
    if (const auto turn = turns_.take_briefly("the end of units")) gateway_.end_units();
  if (!seen->absent.empty()) try_absent();
  if (gateway_.owners().are_to_be_tended())
    if (const auto turn = turns_.take_briefly("the owners of units")) gateway_.owners().tend();
  hold.lock();
}

/// Now and then, for media come late when a machine starts: a mount, a device, a cluster. Whoever waits long for them
/// tries less often, for others wait for its turn.
void service::try_absent() {
  using clock = std::chrono::steady_clock;
  constexpr std::chrono::seconds min_pause{5};
  const auto begun = clock::now();
  if (next_try_ == clock::time_point()) next_try_ = begun + min_pause;
  if (begun < next_try_) return;
  if (const auto turn = turns_.take_briefly("another try at what the start left out")) gateway_.try_absent();
  next_try_ = clock::now() + min_pause + 5 * (clock::now() - begun);
}

void service::reload(const std::string& file) {
  const auto done = apply(file, turns_.wait(an_apply_of(file)));
  if (!done) SLUICE_LOG(error, "control", "not applied", {"file", file}, {"why", done.error().message});
}

}  // namespace sluice::daemon
