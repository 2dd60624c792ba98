#include "gateway/nexus/core_gateway.hpp"

#include "actors/observe/log.hpp"

namespace sluice::nexus {

core_gateway::core_gateway(reactor::loop& loop, registry_door& registry) : loop_(loop), registry_(registry) {}

std::optional<port::access> core_gateway::check(const port::port_id& port, const std::string& initiator_name) {
  const auto found = access::find_port(*picture_, port);
  if (!found) return std::nullopt;
  return access::check(*found, initiator_name);
}

void core_gateway::open(const port::login& who, std::function<void(port::loss_reason)> evict,
                        std::function<void(result<std::unique_ptr<port::nexus>>)> opened) {
  const std::uint64_t ticket = next_ticket_++;
  waiting_.emplace(ticket, pending{who, std::move(evict), std::move(opened)});
  registry_.admit({loop_.index(), ticket, who.initiator, who.port});
}

void core_gateway::granted(std::uint64_t ticket, std::uint64_t nexus_id) {
  auto node = waiting_.extract(ticket);
  if (node.empty()) {
    registry_.closed(nexus_id);
    return;
  }
  pending wish = std::move(node.mapped());
  // The picture may have changed while the wish waited.
  const auto found = access::find_port(*picture_, wish.who.port);
  if (!found || !access::check(*found, wish.who.initiator.name).allowed) {
    registry_.closed(nexus_id);
    wish.opened(fail(errc::permission, wish.who.port.name + " no longer admits " + wish.who.initiator.name));
    return;
  }
  auto identity = std::make_shared<port::i_t_nexus>();
  identity->id = nexus_id;
  identity->initiator = wish.who.initiator;
  identity->target_name = found->target->name;
  identity->port = found->port->descriptor;
  identity->relative_target_port = found->port->relative_id;
  identity->caps = wish.who.caps;
  auto opened =
      std::make_unique<open_nexus>(loop_, identity, access::luns_of(*found, wish.who.initiator.name), [this, nexus_id] {
        live_.erase(nexus_id);
        registry_.closed(nexus_id);
      });
  live_[nexus_id] = {opened.get(), wish.who, std::move(wish.evict), found->target->name, loop_.now_ns(), false};
  SLUICE_LOG(info, "nexus", "session opened", {"id", nexus_id}, {"initiator", wish.who.initiator.to_string()},
             {"target", found->target->name}, {"peer", wish.who.peer}, {"port", wish.who.port.name},
             {"group", wish.who.port.group});
  wish.opened(std::move(opened));
}

void core_gateway::evict(std::uint64_t nexus_id, port::loss_reason reason) {
  const auto found = live_.find(nexus_id);
  if (found == live_.end() || found->second.evicted) return;
  found->second.evicted = true;
  // A copy: the fabric may close the nexus from within.
  const auto tell_fabric = found->second.evict;
  tell_fabric(reason);
}

void core_gateway::publish(std::shared_ptr<const access::directory> picture) {
  picture_ = std::move(picture);
  std::vector<std::uint64_t> unwanted;
  for (auto& [id, nexus] : live_) {
    if (nexus.evicted) continue;
    const auto found = access::find_port(*picture_, nexus.who.port);
    if (found && access::check(*found, nexus.who.initiator.name).allowed)
      nexus.nexus->remap(access::luns_of(*found, nexus.who.initiator.name));
    else
      unwanted.push_back(id);
  }
  for (const std::uint64_t id : unwanted) evict(id, port::loss_reason::port_removed);
}

std::vector<nexus_info> core_gateway::list() const {
  std::vector<nexus_info> all;
  for (const auto& [id, nexus] : live_)
    all.push_back({id, nexus.who.initiator.to_string(), nexus.target, nexus.who.port, nexus.who.peer,
                   nexus.who.description, nexus.who.initiator.name, nexus.opened_ns, loop_.index()});
  return all;
}

}  // namespace sluice::nexus
