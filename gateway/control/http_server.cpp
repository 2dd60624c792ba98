#include "gateway/control/http_server.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "actors/observe/log.hpp"

namespace sluice::control {

namespace {

using clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(2);

void close_fd(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

/// Waits until `fd` is ready for `events`; false when the time is up.
bool wait_for(int fd, short events, clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now()).count();
  if (left <= 0) return false;
  pollfd polled{fd, events, 0};
  const int ready = ::poll(&polled, 1, static_cast<int>(left));
  return ready > 0 || (ready < 0 && errno == EINTR);
}

std::string receive_head(int client, clock::time_point deadline) {
  std::string head;
  char buffer[2048];
  while (!is_whole_http_head(head) && head.size() <= longest_http_request && wait_for(client, POLLIN, deadline)) {
    const ssize_t got = ::recv(client, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) break;
    if (got > 0) head.append(buffer, static_cast<std::size_t>(got));
  }
  return head;
}

void send_all(int client, std::string_view answer, clock::time_point deadline) {
  while (!answer.empty() && wait_for(client, POLLOUT, deadline)) {
    const ssize_t sent = ::send(client, answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return;
    if (sent > 0) answer.remove_prefix(static_cast<std::size_t>(sent));
  }
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
                    ::bind(listener_, found->ai_addr, found->ai_addrlen) == 0 && ::listen(listener_, 16) == 0;
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
  for (;;) {
    pollfd polled[] = {{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    if (::poll(polled, 2, -1) < 0 && errno != EINTR) {
      SLUICE_LOG(error, "control", "poll failed", {"errno", errno});
      return;
    }
    if (polled[0].revents) return;
    if (!polled[1].revents) continue;
    int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client >= 0)
      serve(client);
    else if (errno == EMFILE || errno == ENFILE)  // the backlog stays readable: no spinning over it
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    close_fd(client);
  }
}

void http_server::serve(int client) {
  const std::string head = receive_head(client, clock::now() + patience);
  if (head.empty()) return;
  send_all(client, http_answer(head, handle_), clock::now() + patience);
  ::shutdown(client, SHUT_WR);
}

}  // namespace sluice::control
