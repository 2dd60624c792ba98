#include "fabrics/loopback/session.hpp"

#include <utility>

#include "fabrics/loopback/port_state.hpp"

namespace sluice::loopback {
namespace {

scsi::transport_id name_of(const port::port_descriptor& at, const session::initiator& who) {
  return {at.protocol, at.names_initiators ? who.name : at.id.name, who.extension};
}

}  // namespace

session::session(std::shared_ptr<port_state> at, initiator who, unsigned first_core, handler& tell)
    : port_(std::move(at)), who_(std::move(who)), first_core_(first_core), handler_(tell) {
  wish_.port = port_->descriptor.id;
  wish_.initiator = name_of(port_->descriptor, who_);
  wish_.peer = "in this process";
  wish_.several_channels = port_->cores.size() > 1;
  for (const port::core_endpoint& core : port_->cores) channels_.push_back(std::make_unique<channel>(*this, core));
}

session::~session() = default;

void session::at(std::size_t core, std::function<void()> work) {
  port_->cores[core].core->loop().post([self = shared_from_this(), work = std::move(work)] { work(); });
}

void session::open() {
  at(first_core_, [this] {
    self_ = shared_from_this();
    if (ending_) return refused({errc::closed, "the port stops"});
    const auto access = port_->cores[first_core_].gateway->check(wish_.port, wish_.initiator.name);
    if (!access || !access->allowed)
      return refused({errc::permission, "the port does not admit " + wish_.initiator.name});
    left_ = 1;
    channels_[first_core_]->open(wish_, 0);
  });
}

void session::on_opened(const channel& which, result<std::uint64_t> nexus_id) {
  if (&which == channels_[first_core_].get()) return nexus_opened(std::move(nexus_id));
  at(first_core_, [this, how = std::move(nexus_id)] { joined(how); });
}

void session::nexus_opened(result<std::uint64_t> nexus_id) {
  if (!nexus_id) return refused(nexus_id.error());
  joining_ = channels_.size() - 1;
  if (joining_ == 0 || ending_) {
    joining_ = 1;
    return joined(*nexus_id);
  }
  left_ += joining_;
  for (std::size_t core = 0; core < channels_.size(); ++core)
    if (core != first_core_) at(core, [this, core, id = *nexus_id] { channels_[core]->open(wish_, id); });
}

void session::joined(result<std::uint64_t> how) {
  if (!how) {
    --left_;
    problem_ = how.error();
  }
  if (--joining_ > 0) return;
  if (problem_ || ending_) return begin_end(ending_.value_or(port::loss_reason::connection_lost));
  up_ = true;
  handler_.on_up({});
}

void session::refused(error why) {
  const std::shared_ptr<session> last = std::exchange(self_, nullptr);
  handler_.on_up(tl::unexpected(std::move(why)));
  port_->members.left(*this);
}

void session::end(port::loss_reason why) {
  at(first_core_, [this, why] { begin_end(why); });
}

/// The unit takes back what a command withholds, so nothing here waits for the initiator.
void session::begin_end(port::loss_reason why) {
  if (!ending_) ending_ = why;
  if (joining_ > 0) return;  // joined() comes back here
  for (std::size_t core = 0; core < channels_.size(); ++core)
    at(core, [this, core, reason = *ending_] { channels_[core]->end(reason); });
}

void session::on_gone() {
  at(first_core_, [this] {
    if (--left_ > 0) return;
    if (!up_) return refused(problem_.value_or(error{errc::closed, "the session was ended"}));
    const std::shared_ptr<session> last = std::exchange(self_, nullptr);
    handler_.on_down(*ending_);
    port_->members.left(*this);
  });
}

}  // namespace sluice::loopback
