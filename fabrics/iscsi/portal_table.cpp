#include "fabrics/iscsi/portal_table.hpp"

#include <algorithm>

#include "fabrics/iscsi/text.hpp"

namespace sluice::iscsi {

namespace {

bool is_wildcard(const reactor::endpoint& e) {
  return e.host == "0.0.0.0" || e.host == "::";
}

/// The interface of a link-local address; empty for other addresses [RFC4007 11].
std::string_view zone_of(const reactor::endpoint& e) {
  const std::size_t percent = e.host.find('%');
  return percent == std::string::npos ? std::string_view() : std::string_view(e.host).substr(percent + 1);
}

/// An interface's name means something to its own host only.
reactor::endpoint without_zone(reactor::endpoint e) {
  e.host.resize(std::min(e.host.find('%'), e.host.size()));
  return e;
}

}  // namespace

std::optional<reactor::endpoint> told_address(const reactor::endpoint& portal, const vantage& from) {
  if (is_wildcard(portal)) {
    if (portal.is_ipv6() != from.local.is_ipv6()) return std::nullopt;
    return without_zone({from.local.host, portal.port});  // the address by which the initiator found us
  }
  if (portal.is_loopback()) return from.peer.is_loopback() ? std::optional(portal) : std::nullopt;
  const std::string_view zone = zone_of(portal);
  if (zone.empty()) return portal;
  return zone == zone_of(from.local) ? std::optional(without_zone(portal)) : std::nullopt;
}

portal_table::portal_table(std::map<portal_id, reactor::endpoint> portals, std::vector<served_port_ptr> ports)
    : portals_(std::move(portals)) {
  for (const served_port_ptr& port : ports) {
    by_name_[port->id.name].push_back(port);
    for (const portal_id portal : port->portals) at_[portal].push_back(port);
  }
  for (auto& [name, group] : by_name_)
    std::sort(group.begin(), group.end(), [](const auto& a, const auto& b) { return a->id.group < b->id.group; });
}

const std::vector<served_port_ptr>& portal_table::at(portal_id portal) const {
  static const std::vector<served_port_ptr> none;
  const auto found = at_.find(portal);
  return found == at_.end() ? none : found->second;
}

served_port_ptr portal_table::find(portal_id where, const std::string& target_name) const {
  const auto named = by_name_.find(target_name);
  if (named == by_name_.end()) return nullptr;
  for (const served_port_ptr& port : named->second)
    if (std::find(port->portals.begin(), port->portals.end(), where) != port->portals.end()) return port;
  return nullptr;
}

std::vector<std::string> portal_table::addresses(const served_port& port, const vantage& from) const {
  if (!port.advertise.empty()) return port.advertise;
  std::vector<std::string> told;
  for (const portal_id each : port.portals) {
    const auto address = told_address(portals_.at(each), from);
    if (!address) continue;
    std::string text = address->to_string();
    if (std::find(told.begin(), told.end(), text) == told.end()) told.push_back(std::move(text));
  }
  return told;
}

std::string portal_table::send_targets(const vantage& from, const std::string& name,
                                       const std::function<bool(const port::port_id&)>& may_see) const {
  std::string out;
  for (const auto& [target, ports] : by_name_) {
    if (!name.empty() && target != name) continue;
    if (!find(from.portal, target) || !may_see(ports.front()->id)) continue;  // access is the target's
    append_text(out, "TargetName", target);
    for (const served_port_ptr& port : ports)
      for (const std::string& address : addresses(*port, from))
        append_text(out, "TargetAddress", address + "," + std::to_string(port->id.group));
  }
  return out;
}

}  // namespace sluice::iscsi
