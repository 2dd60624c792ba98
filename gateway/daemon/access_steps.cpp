#include <algorithm>
#include <set>

#include "actors/runtime/pinned.hpp"
#include "gateway/daemon/following.hpp"
#include "gateway/daemon/secrets.hpp"
#include "gateway/daemon/steps.hpp"
#include "gateway/nexus/nexus_actor.hpp"
#include "gateway/relay/links.hpp"

namespace sluice::daemon {

namespace {

const config::access_config* find_access(const config::target_config* in, const std::string& initiator) {
  if (!in) return nullptr;
  const auto found = std::find_if(in->access.begin(), in->access.end(),
                                  [&](const config::access_config& each) { return each.initiator == initiator; });
  return found == in->access.end() ? nullptr : &*found;
}

bool admits(const config::target_config* target, const std::string& initiator) {
  return target && (target->open || target->access.empty() || find_access(target, initiator));
}

/// Whatever initiators may see is one snapshot, built as a whole and shown at once by show_step: these only say what of
/// it changes, and whom it shuts out.
class access_step final : public step {
 public:
  using step::step;

  result<void> check() override {
    const config::target_config* before = config::find_named(in_.before->model->targets, told_.target);
    const config::target_config* wanted = config::find_named(in_.wanted->targets, told_.target);
    const auto shut_out = [&](const nexus::nexus_info& nexus) {
      return wanted && !admits(wanted, nexus.initiator_name) && concerns(before, *wanted, nexus.initiator_name);
    };
    if (before) told_.drops_sessions = count_sessions(in_.now, told_.target, shut_out);
    return {};
  }

 private:
  /// Whose end is this step's doing: nobody's is told twice.
  bool concerns(const config::target_config* before, const config::target_config& wanted,
                const std::string& initiator) const {
    switch (told_.what) {
      case config::action::remove_access:
        return initiator == told_.initiator;
      case config::action::add_access:  // the first one shuts out all others
        return before->access.empty() && wanted.access.front().initiator == told_.initiator;
      case config::action::change_target:
        return !before->access.empty() && !find_access(before, initiator);
      default:
        return false;
    }
  }
};

class log_step final : public step {
 public:
  using step::step;
  void commit() override { set_log_of(in_.wanted->gateway); }
};

class show_step final : public step {
 public:
  show_step(change& in, bool visible) : step(in), visible_(visible) {}

  result<void> check() override {
    if (!visible_) return {};
    for (const config::target_config& target : in_.wanted->targets)
      for (const config::access_config& who : target.access)
        if (auto secrets = read_secrets(in_.now.made_of.fabrics, who); !secrets) return tl::unexpected(secrets.error());
    return {};
  }

  result<void> prepare() override {
    if (!visible_) return {};
    auto made = make_directory();
    if (!made) return tl::unexpected(made.error());
    in_.directory = std::make_shared<access::directory>(std::move(*made));
    return {};
  }

  /// It holds units that are not used after all.
  void undo() override { in_.directory.reset(); }

  void commit() override {
    running& now = in_.now;
    follow_units(now, in_.next, in_.concerned);
    if (in_.directory) follow_ports(now, in_.next);
    // While units change places, two of them may use one medium: then no tier may answer from what it keeps, and what a
    // tier that goes has kept is void. When all stops, nobody is left to write past it.
    if (!now.stopping)
      for (const auto& medium : in_.voided) medium->hand_over();
    in_.voided.clear();
    in_.before.reset();
    if (in_.directory) in_.next.directory = in_.directory;
    now.show(std::move(in_.next));
    if (in_.directory) publish(std::move(in_.directory));
  }

  /// Before all else that may take long: initiators wait for it.
  void finish() override { give_places(in_.replaced, in_.now.made_of.cores, in_.now.made_of.wait); }

 private:
  access::lun_map map_of(const config::lun_map& luns) const {
    access::lun_map map;
    for (const config::lun_config& entry : luns) map.emplace_hint(map.end(), entry.lun, in_.unit(entry.unit)->handle);
    return map;
  }

  const running_port& port_of(const config::port_config& config) const {
    const auto same = [&](const auto& port) { return port->config.same_identity(config); };
    const auto fresh = std::find_if(in_.ports.begin(), in_.ports.end(), same);
    return fresh != in_.ports.end() ? **fresh
                                    : **std::find_if(in_.before->ports.begin(), in_.before->ports.end(), same);
  }

  result<access::directory> make_directory() const {
    std::vector<access::target_entry> made;
    for (const config::target_config& target : in_.wanted->targets) {
      access::target_entry entry{target.name, target.open, map_of(target.luns), {}, {}};
      for (const config::port_config& config : target.ports) {
        const running_port& port = port_of(config);
        entry.ports.push_back({port.port->descriptor(), port.relative_id});
      }
      for (const config::access_config& who : target.access) {
        access::initiator_entry initiator;
        if (who.luns) initiator.luns = map_of(*who.luns);
        auto secrets = read_secrets(in_.now.made_of.fabrics, who);
        if (!secrets) return tl::unexpected(secrets.error());
        initiator.credentials = std::move(*secrets);
        entry.initiators.emplace(who.initiator, std::move(initiator));
      }
      made.push_back(std::move(entry));
    }
    return access::make_directory(std::move(made));
  }

  void publish(std::shared_ptr<const access::directory> made) {
    running& now = in_.now;
    const runtime::latch everywhere(now.made_of.wait);
    const auto left = std::make_shared<std::atomic<std::size_t>>(now.core_actors.size());
    for (auto& actor : now.core_actors)
      caf::anon_send(runtime::as_actor(actor.handle), nexus::publish_order{made, [left, open = everywhere.opener()] {
                                                                             if (left->fetch_sub(1) == 1) open();
                                                                           }});
    everywhere.wait();
    if (now.made_of.links) now.made_of.links->follow(made);
  }

  const bool visible_;
};

}  // namespace

std::vector<nexus::nexus_info> nexuses_of(running& now) {
  std::vector<nexus::nexus_info> all;
  std::set<std::uint64_t> seen;
  for (std::size_t i = 0; i < now.core_actors.size(); ++i)
    now.made_of.cores[i]->call([&] {
      const auto here = now.core_actors[i]->gateway().list();
      for (const nexus::nexus_info& each : here)
        if (seen.insert(each.id).second) all.push_back(each);  // once, however many channels it has
    });
  return all;
}

std::size_t count_sessions(running& now, const std::string& target,
                           const std::function<bool(const nexus::nexus_info&)>& so) {
  const auto all = nexuses_of(now);
  return static_cast<std::size_t>(
      std::count_if(all.begin(), all.end(), [&](const auto& nexus) { return nexus.target == target && so(nexus); }));
}

std::unique_ptr<step> make_access_step(change& in, const config::step& told) {
  if (told.what == config::action::change_log) return std::make_unique<log_step>(in, told);
  return std::make_unique<access_step>(in, told);
}

std::unique_ptr<step> make_show_step(change& in, bool visible) {
  return std::make_unique<show_step>(in, visible);
}

}  // namespace sluice::daemon
