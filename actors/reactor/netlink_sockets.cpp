#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "actors/reactor/system_message_sockets.hpp"

namespace sluice::reactor {

result<handle> system_message_sockets::open_netlink(netlink_family family) {
  const int protocol = family == netlink_family::route ? NETLINK_ROUTE : NETLINK_GENERIC;
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
  if (fd < 0) return fail_errno(errno, "make a netlink socket");
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof own) == 0) return fd;
  const int problem = errno;
  ::close(fd);
  return fail_errno(problem, "bind a netlink socket");
}

result<void> system_message_sockets::join_group(handle netlink, unsigned group) {
  const int number = static_cast<int>(group);
  if (::setsockopt(netlink, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number, sizeof number) != 0)
    return fail_errno(errno, "join netlink group " + std::to_string(group));
  return {};
}

}  // namespace sluice::reactor
