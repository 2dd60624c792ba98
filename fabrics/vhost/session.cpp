#include "fabrics/vhost/session.hpp"

#include <utility>

#include "actors/observe/log.hpp"
#include "actors/reactor/message_sockets.hpp"

namespace sluice::vhost {

session::session(port_state& at, reactor::handle connection)
    : port_(at),
      port_kept_(at.shared_from_this()),
      loop_(at.cores[at.first_core].core->loop()),
      connection_(connection),
      slots_(first_request_queue + at.settings.max_queues) {
  const auto who = loop_.messages().credentials(connection);
  peer_ = who ? "process " + std::to_string(who->process) + " of user " + std::to_string(who->user) : "unknown";
  wish_.port = port_.descriptor.id;
  wish_.initiator = {port_.descriptor.protocol, port_.descriptor.id.name, ""};
  wish_.caps.max_sense_bytes = sense_bytes;
  wish_.peer = peer_;
  wish_.description = "vhost-user";
  wish_.several_channels = port_.cores.size() > 1;
  for (unsigned core = 0; core < port_.cores.size(); ++core)
    channels_.push_back(std::make_unique<channel>(*this, port_.cores[core], core, port_.limits.max_tasks_per_nexus));
}

session::~session() = default;

void session::at(std::size_t core, std::function<void()> work) {
  port_.cores[core].core->loop().post([self = shared_from_this(), work = std::move(work)] { work(); });
}

/// Request queues go round the cores, from the port's own on.
std::size_t session::core_of(unsigned queue_index) const {
  if (queue_index < first_request_queue) return port_.first_core;
  return (port_.first_core + queue_index - first_request_queue) % channels_.size();
}

// -- the nexus -------------------------------------------------------------------------------------------------------

void session::begin() {
  self_ = shared_from_this();
  left_ = 1;
  own_channel().open(wish_, 0);
}

void session::on_opened(unsigned number, result<std::uint64_t> nexus_id) {
  if (number == port_.first_core) return nexus_opened(std::move(nexus_id));
  at(port_.first_core, [this, how = std::move(nexus_id)] { joined(how); });
}

void session::nexus_opened(result<std::uint64_t> nexus_id) {
  if (!nexus_id) {
    problem_ = nexus_id.error();
    left_ = 0;
    return begin_end(port::loss_reason::connection_lost);
  }
  joining_ = channels_.size() - 1;
  left_ += joining_;
  for (std::size_t core = 0; core < channels_.size(); ++core)
    if (core != port_.first_core) at(core, [this, core, id = *nexus_id] { channels_[core]->open(wish_, id); });
  if (joining_ > 0) return;
  joining_ = 1;
  joined(*nexus_id);
}

void session::joined(result<std::uint64_t> how) {
  if (!how) {
    --left_;
    problem_ = how.error();
  }
  if (--joining_ > 0) return;
  if (problem_ || ending_) return begin_end(ending_.value_or(port::loss_reason::connection_lost));
  SLUICE_LOG(info, "vhost", "a front end is connected", {"port", port_.descriptor.id.name}, {"peer", peer_});
  wait_for_message();
}

// -- the end ---------------------------------------------------------------------------------------------------------

void session::end(port::loss_reason why) {
  at(port_.first_core, [this, why] { begin_end(why); });
}

void session::begin_end(port::loss_reason why) {
  const bool first = !ending_;
  if (first) ending_ = why;
  if (first && problem_)
    SLUICE_LOG(warning, "vhost", "a front end is not admitted", {"port", port_.descriptor.id.name}, {"peer", peer_},
               {"why", problem_->message});
  if (joining_ > 0) return;  // joined() comes back here
  if (readable_.in_flight()) loop_.cancel(readable_);
  for (std::size_t core = 0; core < channels_.size(); ++core)
    at(core, [this, core, reason = *ending_] { channels_[core]->end(reason); });
  all_gone();
}

void session::on_gone() {
  at(port_.first_core, [this] {
    --left_;
    all_gone();
  });
}

void session::all_gone() {
  if (left_ > 0 || readable_.in_flight() || connection_ == reactor::no_handle) return;
  SLUICE_LOG(info, "vhost", "a front end is gone", {"port", port_.descriptor.id.name}, {"peer", peer_},
             {"why", port::to_string(*ending_)});
  loop_.close(std::exchange(connection_, reactor::no_handle));
  const std::shared_ptr<session> last = std::exchange(self_, nullptr);
  port_.session_gone();
}

}  // namespace sluice::vhost
