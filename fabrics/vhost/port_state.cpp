#include "fabrics/vhost/port_state.hpp"

#include <unistd.h>

#include <utility>

#include "actors/observe/log.hpp"
#include "actors/reactor/message_sockets.hpp"
#include "fabrics/vhost/session.hpp"
#include "fabrics/vhost/socket_owner.hpp"

namespace sluice::vhost {
namespace {

constexpr std::uint64_t retry_ns = 200 * ns_per_ms;  // looks so often for the gateway, or for a front end that listens
constexpr int backlog = 4;

}  // namespace

port_state::port_state(port::port_descriptor about, port_settings with, std::vector<port::core_endpoint> where,
                       std::size_t first, const port::limits& bounds, mapper how)
    : descriptor(std::move(about)),
      settings(std::move(with)),
      cores(std::move(where)),
      first_core(first),
      limits(bounds),
      map(std::move(how)),
      loop_(cores[first].core->loop()) {}

port_state::~port_state() = default;

result<void> port_state::open() {
  result<void> how;
  cores[first_core].core->call([&] {
    if (!settings.connects) {
      auto made = loop_.messages().listen_local(settings.path, backlog);
      if (!made) {
        how = tl::unexpected(made.error());
        return;
      }
      listener_ = *made;
      how = give_socket_to(settings.path, settings.owner);
      if (!how) return give_up_socket();
    }
    self_ = shared_from_this();
    loop_.arm(retry_, 0);
  });
  return how;
}

bool port_state::known() const {
  const auto access = cores[first_core].gateway->check(descriptor.id, descriptor.id.name);
  return access && access->allowed;
}

/// Waits for the next front end, when there is none.
void port_state::next() noexcept {
  if (stopped_ || session_ || accept_.in_flight()) return;
  if (!known()) return loop_.arm(retry_, retry_ns);
  if (!settings.connects) return loop_.accept(accept_, listener_);
  const auto made = loop_.messages().connect_local(settings.path);
  if (made) {
    complained_ = false;
    return begin(*made);
  }
  if (!std::exchange(complained_, true))
    SLUICE_LOG(info, "vhost", "no front end listens yet", {"port", descriptor.id.name}, {"why", made.error().message});
  loop_.arm(retry_, retry_ns);
}

void port_state::on_accepted(std::int64_t result) noexcept {
  if (stopped_) {
    if (result >= 0) loop_.close(static_cast<reactor::handle>(result));
    give_up_socket();
    return maybe_stopped();
  }
  if (result < 0) return loop_.arm(retry_, retry_ns);
  begin(static_cast<reactor::handle>(result));
}

void port_state::begin(reactor::handle connection) {
  busy_ = true;
  session_ = std::make_shared<session>(*this, connection);
  session_->begin();
}

void port_state::session_gone() {
  session_.reset();
  busy_ = false;
  if (stopped_) return maybe_stopped();
  loop_.arm(retry_, settings.connects ? retry_ns : 0);
}

void port_state::give_up_socket() {
  if (listener_ == reactor::no_handle) return;
  ::unlink(settings.path.c_str());  // before another port can listen there
  loop_.close(std::exchange(listener_, reactor::no_handle));
}

void port_state::stop(std::function<void()> stopped) {
  loop_.post([this, self = shared_from_this(), stopped = std::move(stopped)] {
    stopped_ = stopped;
    loop_.disarm(retry_);
    if (session_) session_->end(port::loss_reason::shutdown);
    if (accept_.in_flight())
      loop_.cancel(accept_);  // on_accepted() gives up the socket
    else
      give_up_socket();
    maybe_stopped();
  });
}

void port_state::maybe_stopped() {
  if (session_ || accept_.in_flight() || listener_ != reactor::no_handle) return;
  const std::shared_ptr<port_state> last = std::exchange(self_, nullptr);
  if (last) stopped_();
}

}  // namespace sluice::vhost
