#include "gateway/nexus/core_gateway.hpp"

#include "actors/observe/log.hpp"

namespace sluice::nexus {

core_gateway::core_gateway(reactor::loop& loop, registry_endpoint& registry, peer_link& peers)
    : loop_(loop), registry_(registry), peers_(peers) {}

std::optional<port::access> core_gateway::check(const port::port_id& port, const std::string& initiator_name) {
  const auto found = access::find_port(*directory_, port);
  if (!found) return std::nullopt;
  return access::check(*found, initiator_name);
}

void core_gateway::open(const port::login& who, port::channel_events events,
                        std::function<void(result<std::unique_ptr<port::nexus>>)> opened) {
  wish(0, {who, std::move(events), std::move(opened)});
}

void core_gateway::join(std::uint64_t nexus_id, const port::login& who, port::channel_events events,
                        std::function<void(result<std::unique_ptr<port::nexus>>)> opened) {
  SLUICE_CHECK(who.several_channels);
  wish(nexus_id, {who, std::move(events), std::move(opened), true});
}

void core_gateway::wish(std::uint64_t joins, pending what) {
  const std::uint64_t question_id = next_question_id_++;
  const port::login& who = waiting_.emplace(question_id, std::move(what)).first->second.who;
  registry_.admit({loop_.index(), question_id, who.initiator, who.port, joins});
}

void core_gateway::refused(std::uint64_t question_id, errc why) {
  auto node = waiting_.extract(question_id);
  if (node.empty()) return;
  node.mapped().opened(
      fail(why, why == errc::already_exists ? "the nexus has a channel on this core" : "there is no such nexus"));
}

void core_gateway::granted(std::uint64_t question_id, std::uint64_t nexus_id) {
  auto node = waiting_.extract(question_id);
  if (node.empty()) {
    registry_.closed(nexus_id);
    return;
  }
  pending wish = std::move(node.mapped());
  // The snapshot may have changed while the wish waited.
  const auto found = access::find_port(*directory_, wish.who.port);
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
  identity->several_channels = wish.who.several_channels;
  auto opened = std::make_unique<open_nexus>(
      loop_, identity, access::luns_of(*found, wish.who.initiator.name),
      open_nexus::surroundings{wish.who.several_channels ? this : nullptr, wish.joins, std::move(wish.events.report),
                               [this, nexus_id] {
                                 live_.erase(nexus_id);
                                 registry_.closed(nexus_id);
                               },
                               [this, nexus_id](const std::string& peer, const std::string& description) {
                                 port::login& shown = live_.at(nexus_id).who;
                                 shown.peer = peer;
                                 shown.description = description;
                               },
                               &managed_});
  live_[nexus_id] = {opened.get(), wish.who, std::move(wish.events.evict), found->target->name, loop_.now_ns()};
  SLUICE_LOG(info, "nexus", wish.joins ? "channel opened" : "session opened", {"id", nexus_id},
             {"initiator", wish.who.initiator.to_string()}, {"target", found->target->name}, {"peer", wish.who.peer},
             {"port", wish.who.port.name}, {"group", wish.who.port.group});
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

void core_gateway::publish(std::shared_ptr<const access::directory> directory) {
  directory_ = std::move(directory);
  std::vector<std::uint64_t> unwanted;
  for (auto& [id, nexus] : live_) {
    if (nexus.evicted) continue;
    const auto found = access::find_port(*directory_, nexus.who.port);
    if (found && access::check(*found, nexus.who.initiator.name).allowed)
      nexus.nexus->remap(access::luns_of(*found, nexus.who.initiator.name), directory_->version);
    else
      unwanted.push_back(id);
  }
  for (const std::uint64_t id : unwanted) evict(id, port::loss_reason::port_removed);
}

std::vector<nexus_info> core_gateway::list() const {
  std::vector<nexus_info> all;
  for (const auto& [id, nexus] : live_)
    all.push_back({id, nexus.who.initiator.to_string(), nexus.target, nexus.who.port, nexus.who.peer,
                   nexus.who.description, nexus.who.initiator.name, nexus.opened_ns, loop_.index(),
                   nexus.nexus->commands(), nexus.nexus->octets()});
  return all;
}

void core_gateway::manage_elsewhere(const port::task_management& request, other_channels::answer answered) {
  const unsigned others = peers_.cores() - 1;
  if (others == 0)
    return loop_.post([answered = std::move(answered)] { answered(port::task_response::task_does_not_exist); });
  const std::uint64_t question_id = next_question_id_++;
  questions_[question_id] = {.left = others, .answered = std::move(answered)};
  for (unsigned core = 0; core < peers_.cores(); ++core)
    if (core != loop_.index())
      peers_.ask(
          core, {loop_.index(), question_id, request.nexus->id, request.function, request.lun, request.referenced_tag});
}

void core_gateway::asked(const peer_request& request) {
  const auto reply = [this, from = request.from, question_id = request.question_id](port::task_response response) {
    peers_.answer(from, {question_id, response});
  };
  const auto found = live_.find(request.nexus_id);
  if (found == live_.end()) return reply(port::task_response::task_does_not_exist);
  found->second.nexus->manage_for_peer(request, reply);
}

void core_gateway::answered(const peer_answer& what) {
  const auto found = questions_.find(what.question_id);
  question& q = found->second;
  q.together = of_both(q.together, what.response);
  if (--q.left > 0) return;
  const question done = std::move(q);
  questions_.erase(found);
  done.answered(done.together);
}

}  // namespace sluice::nexus
