#include "actors/reactor/sockets.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <optional>

namespace sluice::reactor {
namespace {

struct socket_address {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);
  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&storage); }
};

std::optional<socket_address> to_address(const endpoint& from) {
  socket_address to;
  if (from.is_ipv6()) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(to.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(from.port);
    to.length = sizeof v6;
    const std::size_t percent = std::min(from.host.find('%'), from.host.size());
    if (::inet_pton(AF_INET6, from.host.substr(0, percent).c_str(), &v6.sin6_addr) != 1) return std::nullopt;
    if (percent < from.host.size()) {  // the interface of a link-local address [RFC4007 11]
      v6.sin6_scope_id = ::if_nametoindex(from.host.c_str() + percent + 1);
      if (v6.sin6_scope_id == 0) return std::nullopt;
    }
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(to.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(from.port);
    to.length = sizeof v4;
    if (::inet_pton(AF_INET, from.host.c_str(), &v4.sin_addr) != 1) return std::nullopt;
  }
  return to;
}

result<endpoint> to_endpoint(const socket_address& from) {
  char text[INET6_ADDRSTRLEN];
  if (from.storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from.storage);
    endpoint out{::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text), ntohs(v6.sin6_port)};
    char zone[IF_NAMESIZE];
    if (v6.sin6_scope_id != 0 && ::if_indextoname(v6.sin6_scope_id, zone)) out.host += std::string("%") + zone;
    return out;
  }
  if (from.storage.ss_family != AF_INET) return fail(errc::unsupported, "a socket that is neither IPv4 nor IPv6");
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(from.storage);
  return endpoint{::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text), ntohs(v4.sin_port)};
}

void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int open_socket(const endpoint& family_of) {
  return ::socket(family_of.is_ipv6() ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

}  // namespace

result<handle> socket_listen(const endpoint& where, int backlog) {
  std::optional<socket_address> address = to_address(where);
  if (!address) return fail(errc::invalid_argument, "'" + where.host + "' is no numeric IP address of this host");
  const int fd = open_socket(where);
  if (fd < 0) return fail_errno(errno, "open a socket for " + where.to_string());
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (where.is_ipv6()) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  set_no_delay(fd);
  if (::bind(fd, address->generic(), address->length) == 0 && ::listen(fd, backlog) == 0) return fd;
  const int problem = errno;
  ::close(fd);
  return fail_errno(problem, "listen on " + where.to_string());
}

result<endpoint> socket_local(handle h) {
  socket_address address;
  if (::getsockname(h, address.generic(), &address.length) != 0)
    return fail_errno(errno, "ask a socket for its address");
  return to_endpoint(address);
}

result<endpoint> socket_peer(handle h) {
  socket_address address;
  if (::getpeername(h, address.generic(), &address.length) != 0) return fail_errno(errno, "ask a socket for its peer");
  return to_endpoint(address);
}

int socket_begin_connect(const endpoint& to) noexcept {
  std::optional<socket_address> address = to_address(to);
  if (!address) return -EINVAL;
  const int fd = open_socket(to);
  if (fd < 0) return -errno;
  set_no_delay(fd);
  if (::connect(fd, address->generic(), address->length) == 0 || errno == EINPROGRESS) return fd;
  const int problem = errno;
  ::close(fd);
  return -problem;
}

std::int64_t socket_end_connect(handle h) noexcept {
  int problem = 0;
  socklen_t length = sizeof problem;
  if (::getsockopt(h, SOL_SOCKET, SO_ERROR, &problem, &length) != 0) problem = errno;
  if (problem == 0) return h;
  ::close(h);
  return -problem;
}

std::int64_t socket_accept(handle listener) noexcept {
  for (;;) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return -errno;
    set_no_delay(fd);
    return fd;
  }
}

std::int64_t socket_receive(handle h, bytes into) noexcept {
  const ssize_t got = ::recv(h, into.data(), into.size(), MSG_DONTWAIT);
  return got < 0 ? -errno : got;
}

std::int64_t socket_send(handle h, const iovec* parts, unsigned count) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts);
  message.msg_iovlen = std::min(count, static_cast<unsigned>(IOV_MAX));
  const ssize_t sent = ::sendmsg(h, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent < 0 ? -errno : sent;
}

void socket_shutdown(handle h) noexcept {
  ::shutdown(h, SHUT_RDWR);
}

bool socket_ready(handle h, short events) noexcept {
  pollfd asked{h, events, 0};
  return ::poll(&asked, 1, 0) != 0;
}

unsigned to_system_events(unsigned events) noexcept {
  return ((events & poll_event::readable) ? POLLIN : 0u) | ((events & poll_event::writable) ? POLLOUT : 0u);
}

unsigned from_system_events(unsigned found) noexcept {
  constexpr unsigned in = POLLIN | POLLPRI | POLLRDHUP, bad = POLLERR | POLLHUP | POLLNVAL;
  return ((found & in) ? poll_event::readable : 0u) | ((found & POLLOUT) ? poll_event::writable : 0u) |
         ((found & bad) ? poll_event::broken : 0u);
}

}  // namespace sluice::reactor
