#include "fabrics/iscsi/connection_book.hpp"

#include <algorithm>
#include <utility>

namespace sluice::iscsi {

connection_limits connection_limits::of(const port::limits& bounds) {
  connection_limits limits;
  limits.sessions = bounds.max_connections;
  limits.per_address = bounds.max_connections_per_address;
  if (limits.per_address == 0) limits.per_address = std::max(bounds.max_connections / 4, 64u);
  limits.strangers = std::clamp(bounds.max_connections / 4, 64u, 1024u);
  return limits;
}

std::uint64_t connection_book::arrive(std::shared_ptr<const connection_facts> facts, closer close) {
  closer goes, goes_for_good;
  std::uint64_t number = 0;
  {
    const std::lock_guard guard(mutex_);
    number = ++last_;
    if (const auto chosen = choose_who_goes(facts->address)) {
      goes = members_.at(chosen).close;
      goes_for_good = begin_to_leave(chosen);
    }
    of_address& same = addresses_[facts->address];
    ++strangers_;
    ++at_portal_[facts->portal];
    const auto place = same.unknown.insert(same.unknown.end(), number);
    members_[number] = {std::move(facts), std::move(close), rank::unknown, place};
  }
  if (goes) goes(port::loss_reason::connection_lost);
  if (goes_for_good) goes_for_good(port::loss_reason::connection_lost);
  return number;
}

/// Whose place the next stranger of an address takes; 0: there is room.
std::uint64_t connection_book::choose_who_goes(const std::string& address) const {
  const auto own = addresses_.find(address);
  const bool own_full = own != addresses_.end() && own->second.strangers() >= limits_.strangers_per_address();
  if (!own_full && strangers_ < limits_.strangers) return 0;
  const auto fewer = [](const auto& a, const auto& b) {
    return std::pair(a.second.unknown.size(), a.second.strangers()) <
           std::pair(b.second.unknown.size(), b.second.strangers());
  };
  const of_address& most = (own_full ? own : std::max_element(addresses_.begin(), addresses_.end(), fewer))->second;
  return (most.unknown.empty() ? most.proving : most.unknown).front();
}

/// Returns how to close the one that has lingered for longest, when there are too many.
connection_book::closer connection_book::begin_to_leave(std::uint64_t number) {
  member& it = members_.at(number);
  unlist(it);
  it.as = rank::leaving;
  it.place = leaving_.insert(leaving_.end(), number);
  ++address_of(it).leaving;
  if (leaving_.size() <= limits_.strangers) return {};
  // It stays a member until it has left, but is told once only.
  leaving_.splice(leaving_.end(), leaving_, leaving_.begin());
  return members_.at(leaving_.back()).close;
}

void connection_book::unlist(member& it) {
  of_address& same = address_of(it);
  switch (it.as) {
    case rank::unknown:
      same.unknown.erase(it.place);
      --strangers_;
      break;
    case rank::proving:
      same.proving.erase(it.place);
      --strangers_;
      break;
    case rank::session:
      --same.sessions;
      --sessions_;
      break;
    case rank::leaving:
      leaving_.erase(it.place);
      --same.leaving;
      break;
  }
}

void connection_book::proves(std::uint64_t number) {
  const std::lock_guard guard(mutex_);
  member& it = members_.at(number);
  if (it.as != rank::unknown) return;
  of_address& same = address_of(it);
  same.proving.splice(same.proving.end(), same.unknown, it.place);
  it.as = rank::proving;
}

bool connection_book::log_in(std::uint64_t number) {
  const std::lock_guard guard(mutex_);
  member& it = members_.at(number);
  of_address& same = address_of(it);
  if (it.as == rank::leaving || sessions_ >= limits_.sessions || same.sessions >= limits_.per_address) return false;
  unlist(it);
  it.as = rank::session;
  ++same.sessions;
  ++sessions_;
  return true;
}

void connection_book::lingers(std::uint64_t number) {
  closer goes_for_good;
  {
    const std::lock_guard guard(mutex_);
    if (members_.at(number).as != rank::leaving) goes_for_good = begin_to_leave(number);
  }
  if (goes_for_good) goes_for_good(port::loss_reason::connection_lost);
}

void connection_book::leave(std::uint64_t number) {
  std::function<void()> ended;
  {
    const std::lock_guard guard(mutex_);
    const auto it = members_.find(number);
    if (it == members_.end()) return;
    const std::shared_ptr<const connection_facts> facts = it->second.facts;
    unlist(it->second);
    const auto same = addresses_.find(facts->address);
    if (same->second.is_empty()) addresses_.erase(same);
    if (const auto portal = at_portal_.find(facts->portal); --portal->second == 0) {
      at_portal_.erase(portal);
      if (auto closing = closing_.extract(facts->portal)) ended = std::move(closing.mapped());
    }
    members_.erase(it);
  }
  if (ended) ended();
}

bool connection_book::is_full() const {
  const std::lock_guard guard(mutex_);
  return members_.size() >= limits_.sessions + 2 * std::size_t{limits_.strangers};
}

std::size_t connection_book::sessions() const {
  const std::lock_guard guard(mutex_);
  return sessions_;
}

void connection_book::close_portal(std::uint32_t portal, port::loss_reason reason, std::function<void()> ended) {
  std::vector<closer> all;
  {
    const std::lock_guard guard(mutex_);
    for (const auto& [number, each] : members_)
      if (each.facts->portal == portal) all.push_back(each.close);
    if (!all.empty()) closing_[portal] = std::exchange(ended, nullptr);
  }
  if (ended) ended();
  for (const closer& close : all) close(reason);
}

bool connection_book::kick(std::uint64_t number) {
  closer close;
  {
    const std::lock_guard guard(mutex_);
    const auto found = members_.find(number);
    if (found == members_.end() || !is_stranger(found->second)) return false;
    close = found->second.close;
  }
  close(port::loss_reason::kicked);
  return true;
}

std::size_t connection_book::kick_address(const std::string& address) {
  std::vector<closer> all;
  {
    const std::lock_guard guard(mutex_);
    for (const auto& [number, each] : members_)
      if (is_stranger(each) && each.facts->address == address) all.push_back(each.close);
  }
  for (const closer& close : all) close(port::loss_reason::kicked);
  return all.size();
}

connection_book::overview connection_book::look(std::size_t most) const {
  overview seen;
  const std::lock_guard guard(mutex_);
  for (const auto& [number, each] : members_) {
    if (!is_stranger(each)) continue;
    if (seen.oldest.size() < most) seen.oldest.push_back({number, each.facts});
    ++seen.by_address[each.facts->address];
  }
  return seen;
}

}  // namespace sluice::iscsi
