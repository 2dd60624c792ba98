#include "fabrics/srp/channel.hpp"

#include <algorithm>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::srp {
namespace {

constexpr std::uint32_t smallest_iu_bytes = 64;                     // that an initiator may announce [r16a 6.2]
constexpr std::uint16_t min_immediate_offset = 48, slot_step = 64;  // octets

}  // namespace

channel::channel(std::shared_ptr<port_state> of, std::unique_ptr<rdma::connection> by, login_request asked,
                 port_state::seat where)
    : port_(std::move(of)),
      core_(*port_->cores[where.core]),
      loop_(core_.where.core->loop()),
      asked_(std::move(asked)),
      seat_(where),
      initiator_(to_text(asked_.initiator)),
      connection_(std::move(by)),
      sends_(*connection_),
      nexus_id_(where.nexus) {}

channel::~channel() {
  if (counted_) port_->connections->remove();
}

// -- login -----------------------------------------------------------------------------------------------------------

void channel::begin() {
  self_ = shared_from_this();
  if (ending_) return refuse(login_refusal::insufficient_resources);  // the port stops
  if (const auto why = prepare()) return refuse(*why);
  state_ = state::opening;
  port::login who;
  who.port = port_->descriptor.id;
  who.initiator = {scsi::protocol::srp, initiator_, ""};
  who.caps.max_sense_bytes = std::min<std::uint16_t>(252, max_target_iu_bytes - response::header_bytes);
  who.caps.may_borrow = false;  // the adapter reads what is registered with it, the core's own buffers
  who.caps.can_query = false;
  who.peer = connection_->peer();
  who.description = asked_.immediate && immediate_offset_ ? "RDMA, immediate data" : "RDMA";
  who.several_channels = port_->cores.size() > 1;
  port::channel_events events{[this, self = self_](port::loss_reason why) { end(why); },
                              [this, self = self_](const port::unit_event& what) { report(what); }};
  auto then = [this, self = self_](result<std::unique_ptr<port::nexus>> how) { opened(std::move(how)); };
  if (seat_.nexus == 0)
    core_.where.gateway->open(who, std::move(events), std::move(then));
  else
    core_.where.gateway->join(seat_.nexus, who, std::move(events), std::move(then));
}

/// Everything that may be refused without the gateway's help, and what the connection needs; why not.
std::optional<login_refusal> channel::prepare() {
  const auto access = core_.where.gateway->check(port_->descriptor.id, initiator_);
  if (!access || !access->allowed) return login_refusal::channel_limit_reached;
  if (!(counted_ = port_->connections->add())) return login_refusal::insufficient_resources;
  // Directions are told by one login only: an initiator that announces less than it then sends loses its connection.
  const std::uint32_t announced = asked_.max_initiator_iu_bytes;
  if (announced < smallest_iu_bytes || announced > max_initiator_iu_bytes) return login_refusal::iu_too_large;
  if (asked_.immediate && asked_.immediate_offset >= min_immediate_offset && asked_.immediate_offset < announced)
    immediate_offset_ = asked_.immediate_offset;
  const rdma::queue_depths most = connection_->limits();
  if (most.receives <= uncredited_receives || most.sends < 8) return login_refusal::insufficient_resources;
  credits_ = std::min(port_->limits.max_tasks_per_nexus, most.receives - uncredited_receives);
  // Receives: all that the credits allow, and what needs none.
  const std::uint32_t receives = credits_ + uncredited_receives;
  // Sends: a command of one piece takes a transfer and a response; longer chains wait for room.
  const std::uint32_t sends = std::min(most.sends, 2 * credits_ + 16);
  sends_.reserve_for_messages(sends / 2);
  max_parts_read_ = connection_->max_parts(rdma::request::kind::read);
  max_parts_write_ = connection_->max_parts(rdma::request::kind::write);
  share_ = memory::share::open(loop_.buffers().accounts());
  if (!share_) return login_refusal::insufficient_resources;
  const std::uint32_t slot = (announced + slot_step - 1) / slot_step * slot_step;
  auto ring = rdma::receive_ring::make(loop_.buffers(), *share_, receives, slot,
                                       [this](rdma::receive_ring::slot& at, const_bytes message) {
                                         take(message);
                                         receives_->post_again(at);
                                       });
  if (!ring) return login_refusal::insufficient_resources;
  receives_ = std::move(*ring);
  if (const auto made = connection_->open({receives, sends}, *this); !made) {
    SLUICE_LOG(warning, "srp", "no queue pair for a login", {"initiator", initiator_}, {"why", made.error().message});
    return login_refusal::insufficient_resources;
  }
  queue_pair_ = true;
  receives_->post(*connection_);
  return std::nullopt;
}

void channel::opened(result<std::unique_ptr<port::nexus>> how) {
  if (!how) return refuse(login_refusal::cannot_establish);
  nexus_ = std::move(*how);
  state_ = state::open;
  nexus_id_ = nexus_->identity()->id;
  port_->opened(self_, seat_.core, nexus_id_);
  if (!ending_) accept();
  if (ending_) close_nexus();  // it was asked for meanwhile
}

void channel::accept() {
  login_response said;
  said.tag = asked_.tag;
  said.request_limit_delta = static_cast<std::int32_t>(credits_);
  said.max_initiator_iu_bytes = max_initiator_iu_bytes;
  said.max_target_iu_bytes = max_target_iu_bytes;
  said.channels = seat_.others;
  said.immediate = immediate_offset_ != 0;
  given_ = credits_;
  if (const auto done = connection_->accept(encode(said)); !done) {
    SLUICE_LOG(info, "srp", "a login is not to be answered", {"initiator", initiator_}, {"peer", connection_->peer()},
               {"why", done.error().message});
    end(port::loss_reason::connection_lost);
  }
}

void channel::refuse(login_refusal why) {
  SLUICE_LOG(warning, "srp", "login refused", {"initiator", initiator_}, {"peer", connection_->peer()},
             {"port", port_->descriptor.id.name}, {"why", to_string(why)});
  connection_->reject(encode(login_rejection{asked_.tag, why}));
  ending_ = port::loss_reason::logout;
  state_ = state::closed;
  if (receives_) receives_->stop();
  if (queue_pair_) connection_->close();
  loop_.defer(deliver_);
}

// -- the end ---------------------------------------------------------------------------------------------------------

void channel::end_from_anywhere(port::loss_reason why) {
  loop_.post([self = shared_from_this(), why] { self->end(why); });
}

void channel::on_lost(const std::string& why) noexcept {
  SLUICE_LOG(info, "srp", "a channel is lost", {"initiator", initiator_}, {"peer", connection_->peer()}, {"why", why});
  end(port::loss_reason::connection_lost);
}

/// Input that no initiator may send: the connection ends.
void channel::violation(const char* what) {
  SLUICE_LOG(warning, "srp", "a channel is ended", {"initiator", initiator_}, {"peer", connection_->peer()},
             {"why", what});
  end(port::loss_reason::connection_lost);
}

void channel::end(port::loss_reason why) {
  if (!ending_) ending_ = why;
  if (state_ == state::open) close_nexus();
}

/// Nothing here waits for the initiator: the adapter gives back at once what was posted.
void channel::close_nexus() {
  if (state_ != state::open) return;
  state_ = state::closing;
  receives_->stop();
  sends_.stop();
  connection_->close();
  for (auto next = running_.begin(); next != running_.end();) {
    running& r = *next++->second;
    if (r.with == holder::loading)
      give_back(r);
    else if (r.with != holder::unit)
      answer(r, port::transfer_end::failed);
  }
  nexus_->close(*ending_, [this, self = self_] {
    state_ = state::closed;
    loop_.defer(deliver_);
  });
}

void channel::on_drained() noexcept {
  queue_pair_ = false;
  loop_.defer(deliver_);
}

void channel::maybe_gone() {
  if (state_ != state::closed || queue_pair_ || exchanging_ > 0 || !running_.empty() || !managed_.empty() ||
      !inbox_.empty())
    return;
  state_ = state::gone;
  nexus_.reset();
  connection_.reset();
  port_->give_back(asked_.initiator, seat_.core, nexus_id_);
  port_->members.left(*this);
  // What holds memory goes before the share that pays for it.
  free_messages_.clear();
  receives_.reset();
  self_.reset();
}

}  // namespace sluice::srp
