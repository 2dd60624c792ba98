#include <algorithm>

#include "actors/reactor/sim_loop.hpp"
#include "actors/reactor/sim_network.hpp"

/// The local streams of a simulated world.
namespace sluice::reactor {

static constexpr std::size_t longest_path = 107;  // octets, as the system has it

result<handle> sim_network::listen_local(const sim_loop& on, const std::string& path, int backlog) {
  if (path.empty() || path.size() > longest_path)
    return fail(errc::invalid_argument, "a local socket's path has 1 to 107 octets: " + path);
  const endpoint where{path, 0};
  if (find_listener(where) != listeners_.end()) return fail(errc::already_exists, "somebody listens on " + path);
  paths_.insert(path);
  const handle h = world_.new_handle();
  listeners_.emplace(
      h, listener{on.number(), on.index(), where, static_cast<std::size_t>(std::max(backlog, 1)), false, {}, {}});
  return h;
}

result<handle> sim_network::connect_local(const sim_loop& on, const std::string& path) {
  if (path.empty() || path.size() > longest_path)
    return fail(errc::invalid_argument, "a local socket's path has 1 to 107 octets: " + path);
  if (!paths_.contains(path)) return fail(errc::not_found, "no such local socket: " + path);
  const auto found = find_listener({path, 0});
  if (found == listeners_.end()) return fail(errc::closed, "nobody listens: connect to " + path);
  listener& with = found->second;
  if (with.ready.size() > with.backlog) return fail(errc::busy, "too many wait to be accepted: connect to " + path);
  end near, far;
  near.is_local = far.is_local = true;
  near.remote = far.local = with.where;
  used_by(near, on);
  far.loop = with.loop;
  far.loop_index = with.loop_index;
  const auto [client, server] = make_ends(near, far);
  with.ready.push_back(server);
  match_accepts(found->first);
  return client;
}

result<peer_credentials> sim_network::credentials(handle h) {
  const end* const at = find(h);
  if (!at || !at->is_local) return fail(errc::invalid_argument, "no local connection");
  const end* const other = find(at->other);
  return peer_credentials{0, 0, other ? static_cast<std::int32_t>(other->loop_index) + 1 : 0};
}

std::int64_t sim_network::receive_now(const sim_loop& on, handle h, bytes into, sim_events::several& passed) {
  end* at = find(h);
  if (!at) return -EBADF;
  SLUICE_CHECK(!world_.pending(at->reader.request));
  used_by(*at, on);
  if (at->inbound.empty() || into.empty()) {
    if (at->broken) return -ECONNRESET;
    return at->fin_received || at->fin_sent || into.empty() ? 0 : -EAGAIN;
  }
  if (world_.chance(world_.options().short_receive))
    into = into.first(1 + world_.below(std::min<std::uint64_t>(into.size(), at->inbound.size())));
  const std::uint64_t size = take_inbound(*at, into, &passed);
  credit(at->other, size);
  return static_cast<std::int64_t>(size);
}

}  // namespace sluice::reactor
