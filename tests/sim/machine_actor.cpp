#include "tests/sim/machine_actor.hpp"

#include "gateway/daemon/registrations.hpp"

namespace sluice::sim {

namespace {
constexpr std::uint64_t media_patience_ns = 120 * ns_per_s;  // a gateway gives its media a minute
constexpr std::uint64_t lingering_ns =
    200 * ns_per_ms;  // what a cache had lent when its unit went, it frees by a timer
}  // namespace

actors::actors() {
  config_.set("scheduler.max-threads", 1);
  config_.set("scheduler.policy", caf::atom("sharing"));
  config_.set("logger.verbosity", caf::atom("quiet"));
  system_ = std::make_unique<caf::actor_system>(config_);
}

machine::machine(reactor::sim_world& world, actors& all, judge& told, unsigned reactors, plant bug, surroundings with)
    : world_(world),
      actors_(all),
      judge_(told),
      reactors_(reactors),
      bug_(bug),
      around_(std::move(with)),
      disk_state_(state::make_memory_store()) {
  store::registry healthy;
  port::registry real;
  daemon::register_everything(healthy, real);
  // A simulated disk and network cannot be looked at from outside.
  for (port::fabric each : real.all()) {
    each.probe = {};
    fabrics_.add(around_.fabric ? around_.fabric(std::move(each)) : std::move(each));
  }
  const store::registry planted = with_plant(healthy, bug);
  for (store::factory each : planted.all()) {
    each.probe = {};
    if (around_.files) surround(each);
    stores_.add(std::move(each));
  }
}

machine::~machine() = default;

void machine::surround(store::factory& each) {
  using opened_store = result<std::shared_ptr<store::store>>;
  if (each.type == std::string_view("file"))
    each.open = [this, open = each.open](const config::settings& s, reactor::loop& loop,
                                         const auto& below) -> opened_store {
      auto opened = open(s, loop, below);
      if (!opened) return opened;
      const auto file = around_.files(std::move(*opened));
      auto medium = around_.media(file);
      files_[medium.get()] = file;
      return medium;
    };
  if (each.type == std::string_view("cache"))
    each.open = [this, open = each.open](const config::settings& s, reactor::loop& loop,
                                         const auto& below) -> opened_store {
      auto opened = open(s, loop, [&](const std::string& name) { return files_.at(below(name).get()).lock(); });
      return opened ? around_.media(std::move(*opened)) : std::move(opened);
    };
}

/// How the control side waits: the world goes on.
void machine::step() {
  if (world_.now_ns() > hangs_at_ns_ || !world_.step()) throw control_hangs();
}

bool machine::start(const config::model& model, const excuse& may_be) {
  hangs_at_ns_ = world_.now_ns() + media_patience_ns;
  state_ = std::make_unique<lasting_state>(world_, *disk_state_);
  std::vector<runtime::core*> cores;
  for (unsigned i = 0; i < reactors_; ++i) {
    loops_.push_back(world_.make_loop(first_loop + i));
    cores_.push_back(std::make_unique<runtime::core>(actors_.system(), *loops_.back(), [this] { step(); }));
    cores.push_back(cores_.back().get());
  }
  auto made = daemon::gateway::make({cores, *state_, stores_, fabrics_, [this] { step(); }});
  if (!made) {
    judge_.fail("the gateway does not start: " + made.error().message);
    return false;
  }
  gateway_ = std::move(*made);
  hangs_at_ns_ = world_.now_ns() + media_patience_ns;
  const auto done = gateway_->apply(model);
  if (!done && !(may_be && may_be(done.error()))) judge_.fail("apply: " + done.error().message);
  return done.has_value();
}

void machine::apply(const config::model& model) {
  hangs_at_ns_ = world_.now_ns() + media_patience_ns;
  if (auto done = gateway_->apply(model); !done) judge_.fail("apply: " + done.error().message);
}

bool machine::try_apply(const config::model& model, const excuse& may_be) {
  hangs_at_ns_ = world_.now_ns() + media_patience_ns;
  const auto done = gateway_->apply(model);
  // A refusal of the plan's is told in words alone.
  const auto is_early = [&] {
    return done.error().code == errc::busy ||
           done.error().message.find("an earlier change is not through yet") != std::string::npos;
  };
  if (!done && !is_early() && !(may_be && may_be(done.error()))) judge_.fail("apply: " + done.error().message);
  return done.has_value();
}

void machine::resize(const std::string& unit, std::uint64_t size_bytes) {
  hangs_at_ns_ = world_.now_ns() + media_patience_ns;
  if (auto done = gateway_->resize(unit, size_bytes); !done) judge_.fail("resize: " + done.error().message);
}

void machine::stop() {
  if (!running()) return;
  tear_down();
}

void machine::unplug(reactor::sim_world::ending how) {
  for (unsigned i = 0; i < reactors_; ++i) world_.unplug(first_loop + i, how);
}

void machine::lose_power(const std::function<void()>& at_once) {
  state_->power_lost();
  unplug(reactor::sim_world::ending::machine);
  at_once();
  tear_down();
}

void machine::tear_down() {
  hangs_at_ns_ = world_.now_ns() + media_patience_ns;
  gateway_->stop();
  // The daemon just ends then, with requests under way.
  if (gateway_->is_stranded()) {
    unplug(reactor::sim_world::ending::process);
    // Its loops live on with copies of the files: what is left of it must come to its end, not wait for ever for a file
    // that refuses to flush.
    for (const auto& [medium, file] : files_)
      if (const auto open = file.lock()) static_cast<void>(open->give_up_lost());
  }
  while (gateway_->is_stranded()) {
    step();
    gateway_->end_units();
  }
  gateway_.reset();
  while (actors_.system().registry().running() > 0) step();
  world_.run_for(lingering_ns);
  cores_.clear();
  loops_.clear();
  state_.reset();
}

void machine::kick_all() {
  hangs_at_ns_ = world_.now_ns() + media_patience_ns;
  for (const nexus::nexus_info& each : gateway_->nexuses()) gateway_->kick(each.id);
}

void machine::clear_reservations(const std::string& unit) {
  hangs_at_ns_ = world_.now_ns() + media_patience_ns;
  if (gateway_->seen()->units.contains(unit)) (void)gateway_->clear_reservations(unit);
}

}  // namespace sluice::sim
