#include "actors/reactor/system_message_sockets.hpp"

#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "actors/reactor/sockets.hpp"

namespace sluice::reactor {
namespace {

ssize_t receive_message(handle h, msghdr& into, int flags) {
  for (;;) {
    const ssize_t got = ::recvmsg(h, &into, MSG_DONTWAIT | flags);
    if (got >= 0 || errno != EINTR) return got;
  }
}

void take_passed(const cmsghdr& part, loop& of, passed_handles& to) {
  const std::size_t count = (part.cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (std::size_t i = 0; i < count; ++i) {
    int descriptor;
    std::memcpy(&descriptor, CMSG_DATA(&part) + i * sizeof descriptor, sizeof descriptor);
    to.add(of, descriptor);
  }
}

}  // namespace

std::int64_t system_message_sockets::receive_passing(handle h, message& into) noexcept {
  into.passed.clear();
  // The room for descriptors is the bound of their number: the kernel closes the others.
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * passed_handles::limit)];
  iovec part{into.into.data(), into.into.size()};
  msghdr asked{nullptr, 0, &part, 1, control, CMSG_LEN(sizeof(int) * passed_handles::limit), 0};
  const ssize_t got = receive_message(h, asked, MSG_CMSG_CLOEXEC);
  into.handles_lost = got >= 0 && (asked.msg_flags & MSG_CTRUNC) != 0;
  if (got < 0) return -errno;
  for (cmsghdr* each = CMSG_FIRSTHDR(&asked); each; each = CMSG_NXTHDR(&asked, each))
    if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SCM_RIGHTS) take_passed(*each, loop_, into.passed);
  return got;
}

std::int64_t system_message_sockets::receive_datagram(handle h, datagram& into) noexcept {
  for (;;) {
    union {
      sockaddr any;
      sockaddr_nl netlink;
      sockaddr_ll packet;
      sockaddr_storage room;
    } from{};
    iovec part{into.into.data(), into.into.size()};
    msghdr asked{&from, sizeof from, &part, 1, nullptr, 0, 0};
    // MSG_TRUNC asks for the length as it came.
    const ssize_t got = receive_message(h, asked, MSG_TRUNC);
    if (got < 0) return -errno;
    if (from.any.sa_family == AF_NETLINK && from.netlink.nl_pid != 0) continue;  // not from the kernel
    into.for_others = from.any.sa_family == AF_PACKET && from.packet.sll_pkttype == PACKET_OTHERHOST;
    into.length = static_cast<std::size_t>(got);
    return static_cast<std::int64_t>(std::min(into.length, into.into.size()));
  }
}

result<handle> system_message_sockets::open_event() {
  const int made = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (made < 0) return fail_errno(errno, "make an eventfd");
  return made;
}

std::int64_t system_message_sockets::signal(handle event) noexcept {
  // A descriptor that was passed may be a blocking one: look first. Only who shares it and fills it in between, on
  // purpose, makes this wait.
  if (!socket_ready(event, POLLOUT)) return -EAGAIN;
  const std::uint64_t one = 1;
  return ::write(event, &one, sizeof one) < 0 ? -errno : 0;
}

std::int64_t system_message_sockets::drain(handle event) noexcept {
  std::uint64_t count = 0;
  const iovec part{&count, sizeof count};
  const ssize_t got = ::preadv2(event, &part, 1, -1, RWF_NOWAIT);
  if (got < 0) return -errno;
  if (got != sizeof count) return -EINVAL;  // something else than an event
  return static_cast<std::int64_t>(std::min<std::uint64_t>(count, INT64_MAX));
}

}  // namespace sluice::reactor
