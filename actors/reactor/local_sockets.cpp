#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "actors/reactor/system_message_sockets.hpp"

namespace sluice::reactor {
namespace {

result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un made{};
  made.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof made.sun_path || path.find('\0') != std::string::npos)
    return fail(errc::invalid_argument,
                "a local socket's path has 1 to " + std::to_string(sizeof made.sun_path - 1) + " octets: " + path);
  std::memcpy(made.sun_path, path.data(), path.size());
  return made;
}

int open_local() {
  return ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/// Closes a socket that came to nothing, and says why.
tl::unexpected<error> give_up(int fd, const std::string& what) {
  const int problem = errno;
  ::close(fd);
  if (problem == ECONNREFUSED) return fail(errc::closed, "nobody listens: " + what);
  if (problem == EAGAIN) return fail(errc::busy, "too many wait to be accepted: " + what);
  return fail_errno(problem, what);
}

int connect_to(int fd, const sockaddr_un& address) {
  return ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

/// Removes a socket that nobody listens on; anything else is left alone.
result<void> make_way(const std::string& path, const sockaddr_un& address) {
  struct stat about;
  if (::lstat(path.c_str(), &about) != 0) return {};
  if (!S_ISSOCK(about.st_mode)) return fail(errc::already_exists, path + " exists and is no socket");
  const int probe = open_local();
  if (probe < 0) return fail_errno(errno, "make a local socket");
  const bool dead = connect_to(probe, address) != 0 && errno == ECONNREFUSED;
  ::close(probe);
  if (!dead) return fail(errc::already_exists, "somebody listens on " + path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(errno, "remove the stale socket " + path);
  return {};
}

}  // namespace

result<handle> system_message_sockets::listen_local(const std::string& path, int backlog) {
  const result<sockaddr_un> address = address_of(path);
  if (!address) return tl::unexpected(address.error());
  if (auto clear = make_way(path, *address); !clear) return tl::unexpected(clear.error());
  const int fd = open_local();
  if (fd < 0) return fail_errno(errno, "make a local socket");
  // The mode of the socket is what bind() gives the path: at no time may anybody else connect.
  if (::fchmod(fd, 0600) != 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 ||
      ::listen(fd, backlog) != 0)
    return give_up(fd, "listen on " + path);
  return fd;
}

result<handle> system_message_sockets::connect_local(const std::string& path) {
  const result<sockaddr_un> address = address_of(path);
  if (!address) return tl::unexpected(address.error());
  const int fd = open_local();
  if (fd < 0) return fail_errno(errno, "make a local socket");
  if (connect_to(fd, *address) != 0) return give_up(fd, "connect to " + path);
  return fd;
}

result<peer_credentials> system_message_sockets::credentials(handle h) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(h, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return fail_errno(errno, "ask who the peer is");
  return peer_credentials{peer.uid, peer.gid, peer.pid};
}

std::int64_t system_message_sockets::send_passing(handle h, const iovec* parts, unsigned count,
                                                  std::span<const handle> passed) noexcept {
  if (passed.size() > passed_handles::limit) return -EINVAL;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * passed_handles::limit)]{};
  msghdr sent{};
  sent.msg_iov = const_cast<iovec*>(parts);
  sent.msg_iovlen = std::min(count, static_cast<unsigned>(IOV_MAX));
  if (!passed.empty()) {
    sent.msg_control = control;
    sent.msg_controllen = CMSG_SPACE(passed.size_bytes());
    cmsghdr* const rights = CMSG_FIRSTHDR(&sent);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(passed.size_bytes());
    std::memcpy(CMSG_DATA(rights), passed.data(), passed.size_bytes());
  }
  const ssize_t octets = ::sendmsg(h, &sent, MSG_DONTWAIT | MSG_NOSIGNAL);
  return octets < 0 ? -errno : octets;
}

}  // namespace sluice::reactor
