#include "actors/reactor/sim_datagrams.hpp"

#include <algorithm>

namespace sluice::reactor {
namespace {

constexpr std::size_t inbox_limit = 1024;  // messages: beyond it they are lost
constexpr std::size_t header_size = 14;    // destination, source, EtherType
constexpr std::uint16_t vlan_type = 0x8100;

std::uint16_t number_at(const_bytes octets, std::size_t at) {
  return static_cast<std::uint16_t>(octets[at] << 8 | octets[at + 1]);
}

/// Takes the VLAN tag off a frame, as interfaces do. Returns its id, 0 when there is none.
std::uint16_t untag(std::vector<std::uint8_t>& frame) {
  if (frame.size() < header_size + 4 || number_at(frame, 12) != vlan_type) return 0;
  const std::uint16_t id = number_at(frame, 14) & 0x0fff;
  frame.erase(frame.begin() + 12, frame.begin() + 16);
  return id;
}

}  // namespace

void sim_datagrams::add_link(const std::string& name, const mac_address& address, const std::string& segment,
                             std::uint32_t mtu) {
  links_[name] = {{next_index_++, address, mtu, true}, segment};
}

void sim_datagrams::set_link(const std::string& name, bool up) {
  const auto found = links_.find(name);
  if (found == links_.end()) return;
  if (found->second.about.up && !up) fail_bound(name);
  found->second.about.up = up;
}

void sim_datagrams::remove_link(const std::string& name) {
  if (links_.contains(name)) fail_bound(name);
  links_.erase(name);
}

void sim_datagrams::fail_bound(const std::string& interface) {
  for (auto& [h, each] : sockets_) {
    if (!each.is_packet || each.bound.interface != interface || !link_under(each)) continue;
    each.problem = -ENETDOWN;
    tell(each);
  }
}

const sim_datagrams::link* sim_datagrams::link_under(const socket& of) const {
  const auto found = links_.find(of.bound.interface);
  return found == links_.end() || found->second.about.index != of.link_index ? nullptr : &found->second;
}

result<handle> sim_datagrams::open_packet(std::uint64_t loop, const packet_binding& where) {
  if (where.ethertype < 0x0600) return fail(errc::invalid_argument, "an EtherType is 0x0600 or more");
  const auto found = links_.find(where.interface);
  if (found == links_.end()) return fail(errc::not_found, "no interface " + where.interface);
  const handle h = world_.new_handle();
  socket& made = sockets_[h];
  made.loop = loop;
  made.is_packet = true;
  made.bound = where;
  made.link_index = found->second.about.index;
  return h;
}

result<void> sim_datagrams::set_membership(handle h, const mac_address& address, bool member) {
  const auto found = sockets_.find(h);
  if (found == sockets_.end() || !found->second.is_packet) return fail(errc::invalid_argument, "no packet socket");
  std::multiset<mac_address>& of = found->second.addresses;
  if (member) {
    of.insert(address);
    return {};
  }
  if (const auto one = of.find(address); one != of.end()) of.erase(one);
  return {};
}

result<link_info> sim_datagrams::link_of(handle h) const {
  const auto found = sockets_.find(h);
  if (found == sockets_.end() || !found->second.is_packet) return fail(errc::invalid_argument, "no packet socket");
  const link* const under = link_under(found->second);
  if (!under) return fail(errc::not_found, "the interface is gone");
  return under->about;
}

result<handle> sim_datagrams::open_netlink(std::uint64_t loop, netlink_family family) {
  const handle h = world_.new_handle();
  socket& made = sockets_[h];
  made.loop = loop;
  made.family = family;
  return h;
}

result<void> sim_datagrams::join_group(handle h, unsigned group) {
  const auto found = sockets_.find(h);
  if (found == sockets_.end() || found->second.is_packet) return fail(errc::invalid_argument, "no netlink socket");
  found->second.groups.insert(group);
  return {};
}

std::int64_t sim_datagrams::send(handle h, const iovec* parts, unsigned count) {
  octets all;
  for (unsigned i = 0; i < count; ++i) {
    const auto* from = static_cast<const std::uint8_t*>(parts[i].iov_base);
    all.insert(all.end(), from, from + parts[i].iov_len);
  }
  const socket& from = sockets_.at(h);
  return from.is_packet ? send_frame(from, std::move(all)) : send_request(h, from, all);
}

std::int64_t sim_datagrams::send_frame(const socket& from, octets frame) {
  const link* const over = link_under(from);
  if (!over) return -ENXIO;
  if (!over->about.up) return -ENETDOWN;
  if (frame.size() < header_size) return -EINVAL;
  if (frame.size() > over->about.mtu + header_size) return -EMSGSIZE;
  const auto sent = static_cast<std::int64_t>(frame.size());
  std::uint64_t& last = last_arrival_ns_[over->segment];
  last = std::max(last + 1, world_.now_ns() + world_.draw(world_.options().network_latency_ns));
  for (const auto& [h, each] : sockets_) {
    const link* const there = each.is_packet ? link_under(each) : nullptr;
    if (!there || there->segment != over->segment || there->about.index == over->about.index) continue;
    if (world_.chance(world_.options().frame_loss)) continue;
    world_.at(last, [this, to = h, frame] { arrive(to, frame); });
  }
  return sent;
}

void sim_datagrams::arrive(handle h, const octets& frame) {
  const auto found = sockets_.find(h);
  if (found == sockets_.end()) return;
  const link* const over = link_under(found->second);
  if (!over || !over->about.up || !wants(found->second, *over, const_bytes(frame).first(6))) return;
  octets bare = frame;
  untag(bare);
  if (number_at(bare, 12) == found->second.bound.ethertype) put(found->second, frame);
}

bool sim_datagrams::wants(const socket& at, const link& over, const_bytes destination) const {
  mac_address to;
  std::copy(destination.begin(), destination.end(), to.begin());
  const bool broadcast = std::all_of(to.begin(), to.end(), [](std::uint8_t octet) { return octet == 0xff; });
  return broadcast || at.bound.promiscuous || to == over.about.address || at.addresses.contains(to);
}

std::int64_t sim_datagrams::send_request(handle h, const socket& from, const octets& request) {
  if (!answerer_) return -EOPNOTSUPP;
  world_.after(world_.draw(world_.options().turn_latency_ns),
               [this, h, answers = answerer_(from.family, request)]() mutable {
                 const auto found = sockets_.find(h);
                 if (found == sockets_.end()) return;
                 for (octets& answer : answers) put(found->second, std::move(answer));
               });
  return static_cast<std::int64_t>(request.size());
}

void sim_datagrams::notice(netlink_family family, unsigned group, const_bytes what) {
  for (auto& [h, each] : sockets_)
    if (!each.is_packet && each.family == family && each.groups.contains(group)) put(each, {what.begin(), what.end()});
}

void sim_datagrams::put(socket& into, octets what) {
  if (into.inbox.size() < inbox_limit)
    into.inbox.push_back(std::move(what));
  else if (!into.is_packet)
    into.problem = -ENOBUFS;  // frames are lost without a word, notices are not
  tell(into);
}

void sim_datagrams::tell(socket& at) {
  world_.finish_request_after(world_.draw(world_.options().turn_latency_ns), std::exchange(at.reader, 0), 0);
}

std::int64_t sim_datagrams::receive(handle h, datagram& into) {
  const auto found = sockets_.find(h);
  if (found == sockets_.end()) return -EBADF;
  socket& at = found->second;
  if (at.problem) return std::exchange(at.problem, 0);
  if (at.inbox.empty()) return -EAGAIN;
  octets what = std::move(at.inbox.front());
  at.inbox.pop_front();
  const link* const under = at.is_packet ? link_under(at) : nullptr;
  const bool to_group = under && (what[0] & 1);
  const bool to_us = under && std::equal(what.begin(), what.begin() + 6, under->about.address.begin());
  into.for_others = at.is_packet && (untag(what) != 0 || !(to_group || to_us));
  into.length = what.size();
  const std::size_t kept = std::min(what.size(), into.into.size());
  std::copy_n(what.begin(), kept, into.into.begin());
  return static_cast<std::int64_t>(kept);
}

void sim_datagrams::wait_readable(std::uint64_t request, handle h) {
  socket& at = sockets_.at(h);
  SLUICE_CHECK(!world_.pending(at.reader));
  at.reader = request;
  if (at.problem || !at.inbox.empty()) tell(at);
}

void sim_datagrams::wait_writable(std::uint64_t request) {
  world_.finish_request_after(world_.draw(world_.options().turn_latency_ns), request, 0);
}

void sim_datagrams::close(handle h) {
  const auto found = sockets_.find(h);
  if (found == sockets_.end()) return;
  SLUICE_CHECK(!world_.pending(found->second.reader));
  sockets_.erase(found);
}

void sim_datagrams::crash(std::uint64_t loop) {
  std::erase_if(sockets_, [loop](const auto& entry) { return entry.second.loop == loop; });
}

}  // namespace sluice::reactor
