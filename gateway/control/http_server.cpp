#include "gateway/control/http_server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "actors/observe/log.hpp"
#include "gateway/control/close_fd.hpp"

namespace sluice::control {

namespace {

constexpr auto patience = std::chrono::seconds(2);
constexpr auto farewell = std::chrono::milliseconds(500);  // for the client to hang up after its answer

bool would_wait() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

}  // namespace

http_server::http_server(config::listen_address address, handler handle)
    : address_(std::move(address)), handle_(std::move(handle)) {}

http_server::~http_server() {
  stop();
}

result<void> http_server::start() {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address_.host.c_str(), std::to_string(address_.port).c_str(), &hints, &found) != 0)
    return fail(errc::invalid_argument, "gateway.http: " + address_.to_string() + " is no address");
  listener_ = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int on = 1;
  const bool open = listener_ >= 0 && wake_ >= 0 &&
                    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                    ::bind(listener_, found->ai_addr, found->ai_addrlen) == 0 && ::listen(listener_, 128) == 0;
  const int why = errno;
  ::freeaddrinfo(found);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (!open || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &size) != 0) {
    close_fd(listener_);
    close_fd(wake_);
    return fail_errno(why, "serve gateway.http on " + address_.to_string());
  }
  port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                            : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  thread_ = std::thread([this] { run(); });
  return {};
}

void http_server::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t woken = ::write(wake_, &one, sizeof one);
  thread_.join();
  close_fd(listener_);
  close_fd(wake_);
}

void http_server::run() {
  std::vector<pollfd> polled;
  for (;;) {
    polled.assign({{wake_, POLLIN, 0}, {out_of_descriptors_ ? -1 : listener_, POLLIN, 0}});
    for (const client& c : clients_)
      polled.push_back({c.socket, static_cast<short>(c.at == stage::answering ? POLLOUT : POLLIN), 0});
    if (::poll(polled.data(), polled.size(), wait_ms()) < 0 && errno != EINTR) {
      SLUICE_LOG(error, "control", "poll failed", {"errno", errno});
      break;
    }
    if (polled[0].revents) break;
    out_of_descriptors_ = false;
    for (std::size_t i = 0; i < clients_.size(); ++i)
      if (polled[i + 2].revents) serve(clients_[i]);
    drop_finished();
    if (polled[1].revents) accept_clients();
  }
  for (client& c : clients_) close_fd(c.socket);
  clients_.clear();
}

/// Until the next client's time is up; for ever without one.
int http_server::wait_ms() const {
  if (clients_.empty()) return out_of_descriptors_ ? 100 : -1;
  const auto next = std::min_element(clients_.begin(), clients_.end(),
                                     [](const client& a, const client& b) { return a.until < b.until; });
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next->until - clock::now()).count() + 1;
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, out_of_descriptors_ ? 100 : 10000));
}

void http_server::accept_clients() {
  for (std::size_t i = 0; i < max_clients; ++i) {  // then those who are here have their turn
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket < 0 && (errno == EMFILE || errno == ENFILE)) {
      out_of_descriptors_ = true;  // the backlog stays readable: no spinning over it
      if (!clients_.empty()) make_room();
    }
    if (socket < 0) return;
    if (clients_.size() >= max_clients) make_room();
    clients_.push_back({socket, stage::asking, clock::now() + patience, {}});
    serve(clients_.back());  // most have sent their request already
    drop_finished();
  }
}

/// The oldest of those who have least claim goes: answered, then silent, then reading its answer.
void http_server::make_room() {
  const auto claim = [](const client& c) { return c.at == stage::closing ? 0 : c.at == stage::asking ? 1 : 2; };
  const auto least = std::min_element(clients_.begin(), clients_.end(),
                                      [&](const client& a, const client& b) { return claim(a) < claim(b); });
  close_fd(least->socket);
  clients_.erase(least);
}

void http_server::drop_finished() {
  const auto now = clock::now();
  std::erase_if(clients_, [&](client& c) {
    if (c.at == stage::asking && now >= c.until && !c.text.empty()) answer(c);  // it never sends the rest
    if (c.at != stage::over && now < c.until) return false;
    close_fd(c.socket);
    return true;
  });
}

void http_server::serve(client& c) {
  if (c.at == stage::asking) receive(c);
  if (c.at == stage::answering) send_rest(c);
  if (c.at == stage::closing) drain(c);
}

void http_server::receive(client& c) {
  char buffer[2048];
  while (!is_whole_http_head(c.text) && c.text.size() <= longest_http_request) {
    const ssize_t got = ::recv(c.socket, buffer, sizeof buffer, 0);
    if (got < 0 && would_wait()) return;
    if (got <= 0) break;
    c.text.append(buffer, static_cast<std::size_t>(got));
  }
  if (c.text.empty())
    c.at = stage::over;
  else
    answer(c);
}

void http_server::answer(client& c) {
  c.text = http_answer(c.text, address_.host, handle_);
  c.at = stage::answering;
  c.until = clock::now() + patience;
  send_rest(c);
}

void http_server::send_rest(client& c) {
  while (!c.text.empty()) {
    const ssize_t sent = ::send(c.socket, c.text.data(), c.text.size(), MSG_NOSIGNAL);
    if (sent < 0 && would_wait()) return;
    if (sent <= 0) {
      c.at = stage::over;
      return;
    }
    c.text.erase(0, static_cast<std::size_t>(sent));
  }
  ::shutdown(c.socket, SHUT_WR);
  c.at = stage::closing;
  c.until = clock::now() + farewell;
}

/// Reads what it still sends: to close a socket with octets unread is to reset it, and the answer with it.
void http_server::drain(client& c) {
  char buffer[2048];
  for (int i = 0; i < 8; ++i) {
    const ssize_t got = ::recv(c.socket, buffer, sizeof buffer, 0);
    if (got > 0) continue;
    if (got == 0 || !would_wait()) c.at = stage::over;
    return;
  }
}

}  // namespace sluice::control
