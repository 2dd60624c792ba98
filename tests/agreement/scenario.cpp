#include "tests/agreement/scenario.hpp"

#include <cstdio>
#include <list>

#include "tests/agreement/host.hpp"

namespace sluice::agreement_sim {

namespace {

constexpr std::uint64_t trouble_ns = 8 * ns_per_s, quiet_ns = 30 * ns_per_s;

class scenario {
 public:
  scenario(std::uint64_t seed, const world_options& how)
      : world_(seed),
        loop_(world_.make_loop(0, 8 * mib)),
        medium_(*ram::ram_store::make(64 * 512)),
        image_(world_, how.bug),
        relay_(world_, *loop_, how.bug),
        authority_(world_, how.bug, how.owned ? &image_ : nullptr,
                   [this](const state::record& now, gateway_id by) { on_commit(now, by); }),
        verbose_(how.verbose),
        owned_(how.owned) {
    oracle_.verbose = how.verbose;
    for (unsigned g = 0; g < how.gateways; ++g) {
      gateways_.push_back(std::make_unique<served_gateway>(world_, *loop_, *medium_, owned_ ? &image_ : nullptr, relay_,
                                                           authority_, oracle_, static_cast<gateway_id>(g + 1),
                                                           how.bug));
      relay_.add(*gateways_.back());
    }
    for (unsigned h = 0; h < initiators; ++h)
      for (auto& g : gateways_) sessions_.emplace_back(world_, *loop_, oracle_, *g, h);
  }
  ~scenario() {
    for (auto& g : gateways_) g->kill();
    // What was posted to the loop goes with the world.
    world_.run_for(ns_per_s);
  }

  report run() {
    for (auto& g : gateways_) g->start();
    if (wait([&] { return all(&served_gateway::serves); }, quiet_ns)) {
      const std::uint64_t until = world_.now_ns() + trouble_ns;
      for (session& s : sessions_) act(s, until);
      if (owned_) {
        tend_owners();
        drain_some(until);
      }
      make_trouble(until);
      wait([] { return false; }, trouble_ns);
      heal();
    } else {
      oracle_.fail("the gateways do not start");
    }
    report r;
    r.failure = oracle_.failure();
    r.epochs = authority_.now().epoch;
    r.commands = commands_;
    r.digest = world_.digest() ^ (r.epochs << 32) ^ commands_;
    return r;
  }

 private:
  void on_commit(const state::record& now, gateway_id by) {
    say("gateway " + std::to_string(by) + " commits epoch " + std::to_string(now.epoch));
    world_.note(now.epoch);
    oracle_.committed(now);
  }
  void say(const std::string& what) const {
    if (verbose_) std::printf("%10.6f %s\n", static_cast<double>(world_.now_ns()) / 1e9, what.c_str());
  }

  /// False when it does not come true, or the oracle has seen enough.
  bool wait(const std::function<bool()>& so, std::uint64_t limit_ns) {
    const bool came = world_.run_until([&] { return oracle_.failed() || so(); }, world_.now_ns() + limit_ns);
    return came && !oracle_.failed();
  }
  bool all(bool (served_gateway::*so)() const) const {
    for (const auto& g : gateways_)
      if (!((*g).*so)()) return false;
    return true;
  }

  /// What an initiator does with a session, over and over.
  void act(session& s, std::uint64_t until) {
    world_.after(world_.below(60 * ns_per_ms), [this, &s, until] {
      if (oracle_.failed() || world_.now_ns() >= until) return;
      look_at_owners();
      if (s.now() == session::state::out) {
        if (world_.below(3) == 0) s.log_in();
      } else if (s.now() == session::state::idle) {
        ++commands_;
        s.send_any();
      }
      act(s, until);
    });
  }

  unsigned owners() const {
    unsigned count = 0;
    for (const auto& g : gateways_) count += g->acts_as_owner() ? 1 : 0;
    return count;
  }
  void look_at_owners() {
    if (owners() > 1) oracle_.fail("two gateways own the unit");
  }

  void tend_owners() {
    world_.after(300 * ns_per_ms, [this] {
      for (auto& g : gateways_) g->tend_owner(authority_.drained());
      tend_owners();
    });
  }
  /// One that is drained only where all are.
  bool is_well_owned() const {
    const auto drained = [this](const auto& g) { return authority_.drained().contains(g->id()); };
    const bool any = std::all_of(gateways_.begin(), gateways_.end(), drained);
    return owners() == 1 && std::none_of(gateways_.begin(), gateways_.end(),
                                         [&](const auto& g) { return g->acts_as_owner() && drained(g) && !any; });
  }

  void drain_some(std::uint64_t until) {
    world_.after(world_.below(2 * ns_per_s), [this, until] {
      if (oracle_.failed() || world_.now_ns() >= until) return;
      std::set<gateway_id>& drained = authority_.drained();
      const auto g = static_cast<gateway_id>(1 + world_.below(gateways_.size()));
      if (drained.erase(g) == 0) drained.insert(g);
      say("gateway " + std::to_string(g) + (drained.contains(g) ? " is drained" : " is not drained any more"));
      drain_some(until);
    });
  }

  void make_trouble(std::uint64_t until) {
    world_.after(world_.below(3 * ns_per_s), [this, until] {
      if (oracle_.failed() || world_.now_ns() >= until) return;
      served_gateway& g = *gateways_[world_.below(gateways_.size())];
      const auto for_ns = world_.chance(0.5) ? world_.below(300 * ns_per_ms) : world_.below(3 * ns_per_s);
      const auto name = std::to_string(g.id());
      const auto roll = world_.below(owned_ ? 20 : 10);
      if (roll >= 14) {
        part(g.id(), static_cast<gateway_id>(1 + world_.below(gateways_.size())), for_ns);
      } else if (roll >= 10) {
        const auto to = static_cast<gateway_id>(1 + world_.below(gateways_.size()));
        say("gateway " + name + " moves the unit to " + std::to_string(to));
        g.move_to(to);
      } else if (roll < 4) {
        say("gateway " + name + " is paused");
        g.pause(true);
        world_.after(for_ns, [&g] { g.pause(false); });
      } else if (roll < 7) {
        say("gateway " + name + " is cut off");
        authority_.cut(g.id(), true);
        world_.after(for_ns, [this, &g] { authority_.cut(g.id(), false); });
      } else if (roll < 9) {
        say("gateway " + name + " is killed");
        g.kill();
        world_.after(for_ns, [&g] { g.start(); });
      } else {
        say("the authority starts again");
        authority_.restart();
      }
      make_trouble(until);
    });
  }

  /// Cuts the link of two gateways, one way or both.
  void part(gateway_id one, gateway_id other, std::uint64_t for_ns) {
    if (one == other) return;
    const auto ways = world_.below(3);
    say("gateways " + std::to_string(one) + " and " + std::to_string(other) + " are parted");
    if (ways != 0) relay_.cut(one, other, true);
    if (ways != 1) relay_.cut(other, one, true);
    world_.after(for_ns, [this, one, other] {
      relay_.cut(one, other, false);
      relay_.cut(other, one, false);
    });
  }

  /// All goes on undisturbed; then every nexus hears what it has to hear, and all gateways say the same.
  void heal() {
    if (oracle_.failed()) return;
    say("quiet");
    image_.be_prompt();
    wait([] { return false; }, 4 * ns_per_s);  // troubles end by themselves
    for (auto& g : gateways_) {
      g->pause(false);
      authority_.cut(g->id(), false);
      g->start();
    }
    const auto is_quiet = [&] {
      for (session& s : sessions_)
        if (s.now() != session::state::idle && s.now() != session::state::out) return false;
      return all(&served_gateway::serves);
    };
    if (!wait(is_quiet, quiet_ns)) return oracle_.fail("the gateways do not come back");
    for (session& s : sessions_) s.log_in();
    const auto all_in = [&] {
      for (session& s : sessions_)
        if (s.now() != session::state::idle) {
          s.log_in();
          return false;
        }
      return true;
    };
    if (!wait(all_in, quiet_ns)) return oracle_.fail("initiators cannot log in");
    if (owned_ && !wait([&] { return is_well_owned(); }, quiet_ns))
      return oracle_.fail("no gateway owns the unit, or one that is drained");
    wait([] { return false; }, 2 * ns_per_s);
    for (int round = 0; round < 12; ++round) {
      for (session& s : sessions_) s.send_probe();
      if (!wait(is_quiet, quiet_ns)) return oracle_.fail("probes are not answered");
    }
    oracle_.settle();
    for (session& s : sessions_) s.ask_status();
    if (!wait(is_quiet, quiet_ns)) return oracle_.fail("READ FULL STATUS is not answered");
    for (session& s : sessions_)
      if (!s.heard_good() || s.status_data() != sessions_.front().status_data())
        return oracle_.fail("READ FULL STATUS is not the same everywhere");
    for (const auto& g : gateways_) {
      const unit::unit_snapshot& here = g->snapshot();
      const unit::unit_snapshot& there = gateways_.front()->snapshot();
      if (here.epoch != authority_.now().epoch || here.mode != there.mode || here.saved_mode != there.saved_mode ||
          here.reservations != there.reservations || here.groups != there.groups)
        return oracle_.fail("gateways do not agree");
    }
  }

  reactor::sim_world world_;
  std::unique_ptr<reactor::loop> loop_;
  std::shared_ptr<ram::ram_store> medium_;
  oracle oracle_;
  simulated_image image_;
  simulated_relay relay_;
  simulated_authority authority_;
  std::vector<std::unique_ptr<served_gateway>> gateways_;
  std::list<session> sessions_;
  const bool verbose_, owned_;
  std::uint64_t commands_ = 0;
};

}  // namespace

report run(std::uint64_t seed, const world_options& how) {
  scenario all(seed, how);
  return all.run();
}

}  // namespace sluice::agreement_sim
