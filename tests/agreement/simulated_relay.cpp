#include "tests/agreement/simulated_relay.hpp"

#include <cstring>
#include <utility>

#include "tests/agreement/served_gateway.hpp"

namespace sluice::agreement_sim {

using access::relayed;
using access::relayed_command;

namespace {
constexpr reactor::sim_options::range wire_ns{30 * ns_per_us, 3 * ns_per_ms};
constexpr std::uint64_t slow_in = 20, slow_ns = 400 * ns_per_ms;  // one message in so many takes up to that long
constexpr std::uint64_t noticed_within_ns = 2 * ns_per_s, waits_ns = ns_per_s, again_ns = 500 * ns_per_ms;
constexpr std::uint64_t farewell_ns = 250 * ns_per_ms;
constexpr std::uint64_t out_key = 5000, in_key = 6000;  // lines of a process, with the core
}  // namespace

/// A core's way to the owner, for its shard.
class simulated_relay::outgoing final : public access::owner_link {
 public:
  outgoing(simulated_relay& all, gateway_id from, unsigned core) : all_(all), from_(from), core_(core) {}

  void submit(relayed_command& c) noexcept override { all_.submit({from_, core_, c.owner}, c); }
  /// Commands of this world bring all they have at once, and take all there is.
  void go_on(relayed_command&) noexcept override { SLUICE_CHECK(false); }
  void end(relayed_command& c) noexcept override {
    link& l = all_.links_[{from_, core_, c.owner}];
    if (std::erase(l.waiting, &c) != 0) all_.answer({from_, core_, c.owner}, c, relayed::not_here);
  }
  void is_over(relayed_command& c) noexcept override { all_.is_over({from_, core_, c.owner}, c); }
  void forget(std::string_view, std::uint64_t nexus_id) noexcept override {
    each([&](const place& at, link& l) { all_.there(at, l.life, [this, at, nexus_id] { all_.leave(at, nexus_id); }); });
  }
  void has_moved(std::string_view, gateway_id to) noexcept override {
    each([&](const place& at, link& l) {
      if (std::get<2>(at) == to) return;
      for (relayed_command* c : std::exchange(l.waiting, {})) all_.answer(at, *c, relayed::lost);
      if (l.at != link::state::up) {
        for (const auto& [number, c] : std::exchange(l.sent, {})) all_.answer(at, *c, relayed::lost);
        return;
      }
      std::vector<std::uint64_t> numbers;
      for (const auto& [number, c] : l.sent) numbers.push_back(number);
      all_.world_.after(farewell_ns, [&all = all_, at, numbers, life = all_.gateway(from_).life()] {
        if (all.gateway(std::get<0>(at)).life() != life) return;
        for (const std::uint64_t number : numbers)
          if (const auto late = all.links_[at].sent.extract(number)) all.answer(at, *late.mapped(), relayed::lost);
      });
    });
  }

 private:
  template <class What>
  void each(What what) {
    for (auto& [at, l] : all_.links_)
      if (std::get<0>(at) == from_ && std::get<1>(at) == core_) what(at, l);
  }
  simulated_relay& all_;
  const gateway_id from_;
  const unsigned core_;
};

/// A command at the gateway that it was sent to.
class simulated_relay::served final : public port::task_endpoint {
 public:
  served(simulated_relay& all, place at, std::uint64_t life, std::uint64_t number)
      : all_(all), from(std::move(at)), link_life(life), number(number) {}
  void post(port::task&, port::task_event event) noexcept override {
    SLUICE_CHECK(event == port::task_event::complete);
    all_.completed(*this);
  }
  void post(port::task_management&) noexcept override {}

  simulated_relay& all_;
  const place from;
  const std::uint64_t link_life, number;
  port::task task;
};

simulated_relay::simulated_relay(reactor::sim_world& world, reactor::loop& loop, plant bug)
    : world_(world), loop_(loop), bug_(bug) {}
simulated_relay::~simulated_relay() = default;

void simulated_relay::add(served_gateway& gateway) {
  gateways_[gateway.id()] = &gateway;
  for (unsigned core = 0; core < served_gateway::shards; ++core)
    outgoing_[{gateway.id(), core}] = std::make_unique<outgoing>(*this, gateway.id(), core);
}

access::owner_link& simulated_relay::on(gateway_id gateway, unsigned core) {
  return *outgoing_.at({gateway, core});
}

// -- the wire --------------------------------------------------------------------------------------------------------

std::uint64_t simulated_relay::wire() {
  return world_.below(slow_in) == 0 ? world_.below(slow_ns) : world_.draw(wire_ns);
}

void simulated_relay::there(const place& at, std::uint64_t life, std::function<void()> what) {
  const auto& [from, core, to] = at;
  link& l = links_[at];
  if (!l.whole || l.life != life) return;
  l.there_ns = std::max(l.there_ns + 1, world_.now_ns() + wire());
  // Also over one that broke meanwhile: it may wait in the peer's system already.
  world_.at(l.there_ns, [this, to = to, core = core, what = std::move(what), process = gateway(to).life()] {
    if (gateway(to).running() && gateway(to).life() == process) gateway(to).post(in_key + core, what);
  });
}

void simulated_relay::back(const place& at, std::uint64_t life, std::function<void()> what) {
  const auto& [from, core, to] = at;
  link& l = links_[at];
  if (!l.whole || l.life != life) return;
  l.back_ns = std::max(l.back_ns + 1, world_.now_ns() + wire());
  world_.at(l.back_ns, [this, at, life, from = from, core = core, what = std::move(what)] {
    if (links_[at].whole && links_[at].life == life && gateway(from).running())
      gateway(from).post(out_key + core, what);
  });
}

void simulated_relay::cut(gateway_id from, gateway_id to, bool lost) {
  if (!lost) {
    cuts_.erase({from, to});
    return;
  }
  cuts_.insert({from, to});
  for (auto& [at, l] : links_) {
    const auto& [one, core, other] = at;
    if ((one == from && other == to) || (one == to && other == from)) broken(at);
  }
}

/// Nothing passes any more; each end finds out in its own time.
void simulated_relay::broken(const place& at) {
  link& l = links_[at];
  if (!std::exchange(l.whole, false)) return;
  const auto& [from, core, to] = at;
  world_.after(world_.below(noticed_within_ns), [this, at, life = l.life, from = from, core = core] {
    gateway(from).post(out_key + core, [this, at, life] { notice(at, life); });
  });
  world_.after(world_.below(noticed_within_ns), [this, at, life = l.life, to = to, core = core] {
    gateway(to).post(in_key + core, [this, at, life] {
      arrival& a = arrivals_[at];
      if (a.life != life) return;
      for (const std::uint64_t nexus : std::set<std::uint64_t>(a.nexuses)) forget(at, nexus);
    });
  });
}

// -- who relays ------------------------------------------------------------------------------------------------------

void simulated_relay::submit(const place& at, relayed_command& c) {
  c.at = relayed_command::stage::queued;
  links_[at].waiting.push_back(&c);
  wake(at);
}

void simulated_relay::wake(const place& at) {
  link& l = links_[at];
  if (l.at == link::state::up) {
    for (relayed_command* c : std::exchange(l.waiting, {})) send(at, *c);
  } else if (l.at == link::state::down) {
    l.down_since_ns = world_.now_ns();
    connect(at);
  }
}

void simulated_relay::connect(const place& at) {
  const auto& [from, core, to] = at;
  link& l = links_[at];
  l.at = link::state::connecting;
  ++l.life;
  l.whole = passes(from, to) && passes(to, from);
  there(at, l.life, [this, at, life = l.life] { greet(at, life); });
  world_.after(again_ns, [this, at, life = l.life, core = core, process = gateway(from).life()] {
    served_gateway& here = gateway(std::get<0>(at));
    if (here.life() != process) return;
    here.post(out_key + core, [this, at, life] {
      link& still = links_[at];
      if (still.life != life || still.at != link::state::connecting) return;
      if (world_.now_ns() - still.down_since_ns > waits_ns)
        for (relayed_command* c : std::exchange(still.waiting, {})) answer(at, *c, relayed::unreachable);
      connect(at);
    });
  });
}

/// Nothing is left of what came by the connections before.
void simulated_relay::welcomed(const place& at, std::uint64_t life) {
  link& l = links_[at];
  if (l.life != life || l.at != link::state::connecting) return;
  l.at = link::state::up;
  for (const auto& [number, c] : std::exchange(l.sent, {})) answer(at, *c, relayed::lost);
  wake(at);
}

void simulated_relay::notice(const place& at, std::uint64_t life) {
  link& l = links_[at];
  if (l.life != life || l.at != link::state::up) return;
  l.at = link::state::down;
  wake(at);
}

void simulated_relay::send(const place& at, relayed_command& c) {
  link& l = links_[at];
  const std::uint64_t number = next_++;
  c.at = relayed_command::stage::sent;
  l.sent[number] = &c;
  auto s = std::make_unique<served>(*this, at, l.life, number);
  auto nexus = std::make_shared<port::i_t_nexus>();
  nexus->id = c.task->nexus->id;
  nexus->initiator = c.task->nexus->initiator;
  nexus->target_name = c.task->nexus->target_name;
  nexus->relative_target_port = c.task->nexus->relative_target_port;
  nexus->port.id.fabric = "relay";
  nexus->caps.may_borrow = false;
  nexus->relayed = true;
  port::task& t = s->task;
  t.nexus = std::move(nexus);
  t.fabric = s.get();
  t.tag = number;
  t.set_cdb(c.task->whole_cdb());
  t.expected_data_out = c.task->expected_data_out;
  t.expected_data_in = c.room.size();
  t.agreed_epoch = bug_ == plant::old_epoch ? UINT64_MAX : c.epoch;
  std::size_t size = 0;
  for (const iovec& part : c.data_out) size += part.iov_len;
  if (size != 0) {
    memory::slice data = loop_.buffers().take(static_cast<std::uint32_t>(size));
    std::size_t end = 0;
    for (const iovec& part : c.data_out) {
      std::memcpy(data.data() + end, part.iov_base, part.iov_len);
      end += part.iov_len;
    }
    t.data_out.push_back(data.sub(0, static_cast<std::uint32_t>(size)));
    t.data_out_end = size;
  }
  const auto held = std::make_shared<std::unique_ptr<served>>(std::move(s));
  there(at, l.life, [this, at, life = l.life, held] { serve(at, life, std::move(*held)); });
}

void simulated_relay::answer(const place& at, relayed_command& c, relayed how) {
  c.came = how;
  gateway(std::get<0>(at)).post(out_key + std::get<1>(at), [&c] { c.on_answer(); });
}

void simulated_relay::is_over(const place& at, relayed_command& c) {
  link& l = links_[at];
  const bool waited = std::erase(l.waiting, &c) != 0;
  const bool was_sent = std::erase_if(l.sent, [&](const auto& each) { return each.second == &c; }) != 0;
  if (waited || was_sent) answer(at, c, relayed::lost);
}

// -- who owns --------------------------------------------------------------------------------------------------------

void simulated_relay::greet(const place& at, std::uint64_t life) {
  arrival& a = arrivals_[at];
  if (life <= std::max(a.life, a.greets) || !gateway(std::get<2>(at)).started()) return;
  a.greets = life;
  if (a.nexuses.empty()) return leave(at, 0);
  for (const std::uint64_t nexus : std::set<std::uint64_t>(a.nexuses)) forget(at, nexus);
}

/// Ends what a nexus has here; the last one may be what a new connection waits for.
void simulated_relay::forget(const place& at, std::uint64_t nexus) {
  const auto& [from, core, to] = at;
  if (!arrivals_[at].leaving.insert(nexus).second) return;
  gateway(to).detach_relayed(core, nexus, [this, at, nexus] {
    arrivals_[at].nexuses.erase(nexus);
    arrivals_[at].leaving.erase(nexus);
    leave(at, 0);
  });
}

/// 0: nobody leaves; a new connection is welcome when nothing is left.
void simulated_relay::leave(const place& at, std::uint64_t nexus) {
  arrival& a = arrivals_[at];
  if (nexus != 0 && a.nexuses.contains(nexus)) return forget(at, nexus);
  if (a.greets == 0 || !a.nexuses.empty()) return;
  a.life = std::exchange(a.greets, 0);
  back(at, a.life, [this, at, life = a.life] { welcomed(at, life); });
}

void simulated_relay::serve(const place& at, std::uint64_t life, std::unique_ptr<served> s) {
  arrival& a = arrivals_[at];
  served_gateway& here = gateway(std::get<2>(at));
  const unsigned core = std::get<1>(at);
  if (a.life != life || a.greets != 0 || !here.started() || a.leaving.contains(s->task.nexus->id)) return;
  if (!here.admits()) {  // its lease has run out: it does not even look
    back(at, life, [this, at, life, number = s->number] {
      link& l = links_[at];
      if (l.life != life) return;
      if (const auto found = l.sent.extract(number)) answer(at, *found.mapped(), relayed::not_here);
    });
    return;
  }
  if (a.nexuses.insert(s->task.nexus->id).second) here.attach_relayed(core, s->task.nexus);
  served& kept = *s;
  served_[&kept] = std::move(s);
  here.shard(core).on_task(kept.task, port::task_event::submit);
}

void simulated_relay::completed(served& s) {
  port::task& t = s.task;
  std::vector<std::uint8_t> data;
  for (const memory::slice& part : t.data_in) data.insert(data.end(), part.data(), part.data() + part.size());
  t.data_in.clear();
  t.data_out.clear();
  back(s.from, s.link_life,
       [this, at = s.from, life = s.link_life, number = s.number, silenced = t.silenced, outcome = t.outcome,
        out = t.length_out, in = t.length_in, data = std::move(data)] {
         link& l = links_[at];
         const auto found = l.life == life ? l.sent.extract(number) : decltype(l.sent.extract(number))();
         if (!found) return;
         relayed_command& c = *found.mapped();
         c.silenced = silenced;
         c.outcome = outcome;
         c.length_out = out;
         c.length_in = in;
         c.octets = static_cast<std::uint32_t>(std::min(data.size(), c.room.size()));
         if (c.octets != 0) std::memcpy(c.room.data(), data.data(), c.octets);
         c.came = silenced == port::silence::not_owned ? relayed::not_here : relayed::ended;
         c.on_answer();
       });
  // The shard may look at the task until its turn is over.
  loop_.post([this, which = &s] { served_.erase(which); });
}

void simulated_relay::end(gateway_id id) {
  for (auto& [at, l] : links_) {
    const auto& [from, core, to] = at;
    if (from != id && to != id) continue;
    broken(at);
    if (to == id) arrivals_[at] = {arrivals_[at].life, 0, {}, {}};
    if (from != id) continue;
    l.at = link::state::down;
    for (const auto& [number, c] : std::exchange(l.sent, {})) answer(at, *c, relayed::lost);
    for (relayed_command* c : std::exchange(l.waiting, {})) answer(at, *c, relayed::lost);
  }
}

}  // namespace sluice::agreement_sim
