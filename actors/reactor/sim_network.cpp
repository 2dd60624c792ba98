#include "actors/reactor/sim_network.hpp"

#include <algorithm>

#include "actors/reactor/sim_loop.hpp"

namespace sluice::reactor {

static constexpr unsigned connect_attempts = 7;  // a second apart, then -ETIMEDOUT

static std::pair<unsigned, unsigned> unordered(unsigned a, unsigned b) {
  return std::minmax(a, b);
}

sim_network::end* sim_network::find(handle h) {
  const auto found = ends_.find(h);
  return found == ends_.end() ? nullptr : &found->second;
}

void sim_network::used_by(end& of, const sim_loop& on) {
  of.loop = on.number();
  of.loop_index = on.index();
}

std::map<handle, sim_network::listener>::iterator sim_network::find_listener(const endpoint& where) {
  return std::find_if(listeners_.begin(), listeners_.end(), [&](const auto& entry) {
    const endpoint& at = entry.second.where;
    const bool any = at.host == "0.0.0.0" || at.host == "::";
    return !entry.second.ended && at.port == where.port && at.is_ipv6() == where.is_ipv6() &&
           (any || at.host == where.host);
  });
}

result<handle> sim_network::listen(const sim_loop& on, endpoint where, int backlog) {
  if (auto valid = endpoint::parse(where.to_string()); !valid) return tl::unexpected(valid.error());
  if (where.port == 0) where.port = next_port_++;
  if (find_listener(where) != listeners_.end()) return fail(errc::already_exists, where.to_string() + " is in use");
  const handle h = world_.new_handle();
  listeners_.emplace(
      h, listener{on.number(), on.index(), where, static_cast<std::size_t>(std::max(backlog, 1)), false, {}, {}});
  return h;
}

result<endpoint> sim_network::local(handle h) const {
  if (const auto found = ends_.find(h); found != ends_.end()) return found->second.local;
  if (const auto found = listeners_.find(h); found != listeners_.end()) return found->second.where;
  return fail(errc::closed, "no such socket");
}

result<endpoint> sim_network::peer(handle h) const {
  if (const auto found = ends_.find(h); found != ends_.end()) return found->second.remote;
  return fail(errc::closed, "no such connection");
}

void sim_network::accept(std::uint64_t request, handle h) {
  const auto found = listeners_.find(h);
  if (found == listeners_.end()) return world_.finish_request(request, -EBADF);
  if (found->second.ended) return world_.finish_request(request, -EINVAL);
  found->second.accepts.push_back(request);
  world_.after(world_.draw(world_.options().turn_latency_ns), [this, h] { match_accepts(h); });
}

void sim_network::match_accepts(handle h) {
  const auto found = listeners_.find(h);
  if (found == listeners_.end()) return;
  listener& at = found->second;
  while (!at.accepts.empty() && !at.ready.empty()) {
    const std::uint64_t request = at.accepts.front();
    at.accepts.pop_front();
    if (!world_.pending(request)) continue;  // cancelled
    const handle accepted = at.ready.front();
    at.ready.pop_front();
    world_.finish_request(request, accepted);
  }
}

void sim_network::connect(const sim_loop& on, std::uint64_t request, const endpoint& to) {
  if (!endpoint::parse(to.to_string())) return world_.finish_request(request, -EINVAL);
  attempt_connect(on.index(), on.number(), request, to, 1);
}

void sim_network::attempt_connect(unsigned from_loop, std::uint64_t loop, std::uint64_t request, const endpoint& to,
                                  unsigned attempt) {
  world_.after(world_.draw(world_.options().network_latency_ns), [=, this] {
    if (!world_.pending(request)) return;
    const auto found = find_listener(to);
    const bool unheard = found != listeners_.end() && (cuts_.contains(unordered(from_loop, found->second.loop_index)) ||
                                                       found->second.ready.size() >= found->second.backlog);
    if (found == listeners_.end()) return world_.finish_request(request, -ECONNREFUSED);
    if (!unheard) return establish(from_loop, loop, request, found->second, to);
    if (attempt == connect_attempts) return world_.finish_request(request, -ETIMEDOUT);
    world_.after(ns_per_s, [=, this] { attempt_connect(from_loop, loop, request, to, attempt + 1); });
  });
}

void sim_network::establish(unsigned from_loop, std::uint64_t loop, std::uint64_t request, listener& with,
                            const endpoint& to) {
  const endpoint from{to.host, next_port_++};
  end near, far;
  near.loop = loop;
  near.loop_index = from_loop;
  far.loop = with.loop;
  far.loop_index = with.loop_index;
  near.local = far.remote = from;
  near.remote = far.local = to;
  const auto [client, server] = make_ends(near, far);
  with.ready.push_back(server);
  match_accepts(find_listener(to)->first);
  world_.after(world_.draw(world_.options().network_latency_ns), [this, client = client, request] {
    if (world_.pending(request)) return world_.finish_request(request, client);
    drop(client, true);  // cancelled meanwhile
  });
}

std::pair<handle, handle> sim_network::make_ends(const end& near, const end& far) {
  const handle client = world_.new_handle();
  const handle server = world_.new_handle();
  ends_.emplace(client, near).first->second.other = server;
  ends_.emplace(server, far).first->second.other = client;
  return {client, server};
}

void sim_network::receive(const sim_loop& on, std::uint64_t request, handle h, bytes into) {
  end* at = find(h);
  if (!at) return world_.finish_request(request, -EBADF);
  SLUICE_CHECK(!world_.pending(at->reader.request));
  used_by(*at, on);
  at->reader = {request, into, false};
  poke(h);
}

void sim_network::poke(handle h) {
  world_.after(world_.draw(world_.options().turn_latency_ns), [this, h] { try_receive(h); });
}

void sim_network::try_receive(handle h) {
  end* at = find(h);
  if (!at || !world_.pending(at->reader.request)) return;
  const auto [request, into, only_waits] = at->reader;
  if (only_waits) {
    const bool over = at->broken || at->fin_received || at->fin_sent;
    if (over || !at->inbound.empty()) world_.finish_request(request, 0);
    return;
  }
  const std::int64_t got = take_some(*at, into);
  if (got == -EAGAIN) return;
  world_.finish_request(request, got);
  if (got > 0) credit(at->other, static_cast<std::uint64_t>(got));
}

/// As recv(2) of a socket that does not block.
std::int64_t sim_network::take_some(end& of, bytes into) {
  const std::uint64_t size = std::min<std::uint64_t>(of.inbound.size(), into.size());
  if (size == 0) {
    if (of.broken) return -ECONNRESET;
    return of.fin_received || of.fin_sent || into.empty() ? 0 : -EAGAIN;
  }
  const bool is_short = world_.chance(world_.options().short_receive);
  const std::uint64_t taken = is_short ? 1 + world_.below(size) : size;
  return static_cast<std::int64_t>(take_inbound(of, into.first(taken), nullptr));
}

std::int64_t sim_network::receive_now(const sim_loop& on, handle h, bytes into) {
  end* at = find(h);
  if (!at) return -EBADF;
  used_by(*at, on);
  const std::int64_t got = take_some(*at, into);
  if (got > 0) credit(at->other, static_cast<std::uint64_t>(got));
  return got;
}

/// Takes octets that have come, and what was passed with them; without `passed` that is thrown away. As the system
/// does, earlier octets may come along with those that something was passed with, but no later ones.
std::uint64_t sim_network::take_inbound(end& of, bytes into, sim_events::several* passed) {
  std::uint64_t size = std::min<std::uint64_t>(of.inbound.size(), into.size());
  const bool passes = !of.passed.empty() && of.passed.front().begin < of.received + size;
  if (passes) size = std::min(size, of.passed.front().end - of.received);
  const auto last = of.inbound.begin() + static_cast<std::ptrdiff_t>(size);
  std::copy(of.inbound.begin(), last, into.begin());
  of.inbound.erase(of.inbound.begin(), last);
  of.received += size;
  if (passes) {
    if (passed) *passed = std::move(of.passed.front().what);
    of.passed.pop_front();
  }
  return size;
}

void sim_network::wait_readable(const sim_loop& on, std::uint64_t request, handle h) {
  end* at = find(h);
  if (!at) return world_.finish_request(request, -EBADF);
  SLUICE_CHECK(!world_.pending(at->reader.request));
  used_by(*at, on);
  at->reader = {request, {}, true};
  poke(h);
}

void sim_network::credit(handle sender, std::uint64_t octets) {
  end* at = find(sender);
  if (!at) return;
  at->unreceived -= std::min(at->unreceived, octets);
  if (at->writer)
    world_.finish_request_after(world_.draw(world_.options().turn_latency_ns), std::exchange(at->writer, 0), 0);
}

std::int64_t sim_network::send(const sim_loop& on, handle h, const iovec* parts, unsigned count,
                               sim_events::several passed) {
  end* at = find(h);
  if (!at) return -EBADF;
  used_by(*at, on);
  if (at->broken || at->fin_sent) return -EPIPE;
  const std::uint64_t capacity = world_.options().send_buffer_bytes;
  const std::uint64_t space = capacity - std::min(capacity, at->unreceived);
  std::vector<std::uint8_t> octets;
  for (unsigned i = 0; i < count && octets.size() < space; ++i) {
    const auto* from = static_cast<const std::uint8_t*>(parts[i].iov_base);
    octets.insert(octets.end(), from, from + std::min<std::uint64_t>(parts[i].iov_len, space - octets.size()));
  }
  if (octets.empty()) return space ? 0 : -EAGAIN;
  std::uint64_t size = octets.size();
  if (world_.chance(world_.options().short_send)) size = 1 + world_.below(size);
  octets.resize(size);
  if (!at->is_local && world_.chance(world_.options().reset)) {
    reset(h);
    return static_cast<std::int64_t>(size);
  }
  at->unreceived += size;
  while (octets.size() > 1 && world_.chance(world_.options().split)) {
    const auto cut_at = octets.begin() + static_cast<std::ptrdiff_t>(1 + world_.below(octets.size() - 1));
    transmit(*at, {packet::kind::data, {octets.begin(), cut_at}, std::exchange(passed, {})});
    octets.erase(octets.begin(), cut_at);
  }
  transmit(*at, {packet::kind::data, std::move(octets), std::move(passed)});
  return static_cast<std::int64_t>(size);
}

void sim_network::transmit(end& from, packet carried) {
  from.last_arrival_ns =
      std::max(from.last_arrival_ns + 1, world_.now_ns() + world_.draw(world_.options().network_latency_ns));
  const end* to = find(from.other);
  const handle sender = to ? to->other : no_handle;
  world_.at(from.last_arrival_ns, [this, sender, to = from.other, packet = std::move(carried)]() mutable {
    arrive(sender, to, std::move(packet));
  });
}

bool sim_network::cut(const end& of) const {
  if (of.is_local) return false;
  if (of.stalled_until_ns > world_.now_ns()) return true;
  const auto other = ends_.find(of.other);
  return other != ends_.end() && cuts_.contains(unordered(of.loop_index, other->second.loop_index));
}

void sim_network::arrive(handle sender, handle to, packet carried) {
  world_.note(static_cast<std::uint64_t>(to) << 32 ^ carried.octets.size());
  end* at = find(to);
  if (!at) {  // closed: data for nobody is answered by a reset
    if (carried.what == packet::kind::data) break_end(sender);
    return;
  }
  if (!at->held.empty() || cut(*at)) return at->held.push_back(std::move(carried));
  apply(to, std::move(carried));
}

void sim_network::apply(handle h, packet carried) {
  end* at = find(h);
  if (!at || at->broken) return;  // what was under way when a connection broke never arrives out of its order
  if (carried.what == packet::kind::reset) return break_end(h);
  if (carried.what == packet::kind::fin)
    at->fin_received = true;
  else if (at->fin_sent)
    credit(at->other, carried.octets.size());  // shut down: taken and thrown away
  else {
    if (!carried.passed.empty())
      at->passed.push_back({at->received + at->inbound.size(),
                            at->received + at->inbound.size() + carried.octets.size(), std::move(carried.passed)});
    at->inbound.insert(at->inbound.end(), carried.octets.begin(), carried.octets.end());
  }
  poke(h);
}

void sim_network::release_held(handle h) {
  for (end* at = find(h); at && !at->held.empty() && !cut(*at); at = find(h)) {
    packet next = std::move(at->held.front());
    at->held.pop_front();
    apply(h, std::move(next));
  }
}

void sim_network::break_end(handle h) {
  end* at = find(h);
  if (!at || at->broken) return;
  at->broken = true;
  at->inbound.clear();
  at->passed.clear();
  poke(h);
  world_.finish_request(std::exchange(at->writer, 0), 0);
}

void sim_network::wait_writable(std::uint64_t request, handle h) {
  end* at = find(h);
  if (!at) return world_.finish_request(request, -EBADF);
  const bool writable = at->broken || at->fin_sent || at->unreceived < world_.options().send_buffer_bytes;
  if (writable) return world_.finish_request_after(world_.draw(world_.options().turn_latency_ns), request, 0);
  SLUICE_CHECK(!world_.pending(at->writer));
  at->writer = request;
}

void sim_network::shutdown(handle h) {
  if (const auto found = listeners_.find(h); found != listeners_.end()) {
    found->second.ended = true;
    for (const std::uint64_t request : found->second.accepts) world_.finish_request(request, -EINVAL);
    found->second.accepts.clear();
    return;
  }
  end* at = find(h);
  if (!at) return;
  if (!at->fin_sent) transmit(*at, {packet::kind::fin, {}});
  at->fin_sent = true;
  poke(h);
  world_.finish_request(std::exchange(at->writer, 0), 0);
}

void sim_network::close(handle h) {
  if (const auto found = listeners_.find(h); found != listeners_.end()) {
    for (const std::uint64_t request : found->second.accepts) SLUICE_CHECK(!world_.pending(request));
    const std::deque<handle> nobodys = std::move(found->second.ready);
    listeners_.erase(found);
    for (const handle each : nobodys) drop(each, true);
    return;
  }
  const end* at = find(h);
  if (!at) return;
  SLUICE_CHECK(!world_.pending(at->reader.request) && !world_.pending(at->writer));
  drop(h, !at->inbound.empty());  // octets that nobody received: TCP resets
}

void sim_network::drop(handle h, bool with_reset) {
  end* at = find(h);
  if (!at) return;
  if (with_reset)
    transmit(*at, {packet::kind::reset, {}});
  else if (!at->fin_sent)
    transmit(*at, {packet::kind::fin, {}});
  ends_.erase(h);
}

void sim_network::reset(handle h) {
  end* at = find(h);
  if (!at) return;
  transmit(*at, {packet::kind::reset, {}});
  break_end(h);
}

void sim_network::stall(handle h, std::uint64_t duration_ns) {
  end* at = find(h);
  if (!at) return;
  for (const handle each : {h, at->other}) {
    end* stalled = find(each);
    if (!stalled) continue;
    stalled->stalled_until_ns = std::max(stalled->stalled_until_ns, world_.now_ns() + duration_ns);
    world_.at(stalled->stalled_until_ns, [this, each] { release_held(each); });
  }
}

void sim_network::partition(unsigned loop_a, unsigned loop_b, bool cut_it) {
  if (cut_it) {
    cuts_.insert(unordered(loop_a, loop_b));
    return;
  }
  cuts_.erase(unordered(loop_a, loop_b));
  std::vector<handle> all;
  for (const auto& [h, each] : ends_) all.push_back(h);
  for (const handle h : all) release_held(h);
}

void sim_network::crash(std::uint64_t loop) {
  std::vector<handle> lost;
  for (const auto& [h, each] : ends_)
    if (each.loop == loop) lost.push_back(h);
  for (const handle h : lost) drop(h, true);
  std::erase_if(listeners_, [loop](const auto& entry) { return entry.second.loop == loop; });
}

}  // namespace sluice::reactor
