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

std::uint64_t connection_book::arrive(const std::string& address, closer close) {
  std::optional<closer> goes;
  std::uint64_t number = 0;
  {
    const std::lock_guard guard(mutex_);
    goes = choose_who_goes(address);
    number = ++last_;
    members_[number] = {address, std::move(close), false};
    ++addresses_[address].strangers;
    ++strangers_;
  }
  if (goes) (*goes)(port::loss_reason::connection_lost);
  return number;
}

/// Whose place the next stranger of an address takes. Who is told to go counts until it has left.
std::optional<connection_book::closer> connection_book::choose_who_goes(const std::string& address) {
  const auto own = addresses_.find(address);
  const bool own_full = own != addresses_.end() && own->second.strangers >= limits_.strangers_per_address();
  if (!own_full && strangers_ < limits_.strangers) return std::nullopt;
  const auto fewer = [](const auto& a, const auto& b) { return a.second.strangers < b.second.strangers; };
  const auto most = own_full ? own : std::max_element(addresses_.begin(), addresses_.end(), fewer);
  for (auto& [number, each] : members_)
    if (!each.in_session && each.address == most->first && each.close) return std::exchange(each.close, nullptr);
  return std::nullopt;
}

bool connection_book::log_in(std::uint64_t number) {
  const std::lock_guard guard(mutex_);
  member& it = members_.at(number);
  of_address& same = addresses_[it.address];
  if (sessions_ >= limits_.sessions || same.sessions >= limits_.per_address) return false;
  it.in_session = true;
  --same.strangers;
  --strangers_;
  ++same.sessions;
  ++sessions_;
  return true;
}

void connection_book::leave(std::uint64_t number) {
  const std::lock_guard guard(mutex_);
  const auto it = members_.find(number);
  if (it == members_.end()) return;
  const auto same = addresses_.find(it->second.address);
  const bool in_session = it->second.in_session;
  --(in_session ? same->second.sessions : same->second.strangers);
  --(in_session ? sessions_ : strangers_);
  if (same->second.sessions == 0 && same->second.strangers == 0) addresses_.erase(same);
  members_.erase(it);
}

std::size_t connection_book::sessions() const {
  const std::lock_guard guard(mutex_);
  return sessions_;
}

}  // namespace sluice::iscsi
