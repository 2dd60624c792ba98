#pragma once
#include "actors/reactor/loop.hpp"

/// The socket calls that do not wait, shared by the loops on real hardware.
namespace sluice::reactor {

result<handle> socket_listen(const endpoint& where, int backlog);
result<endpoint> socket_local(handle h);
result<endpoint> socket_peer(handle h);

/// Starts to connect: a handle that becomes writable when the attempt is over, or -errno.
int socket_begin_connect(const endpoint& to) noexcept;
/// The outcome of that attempt: the handle, or -errno with the handle closed.
std::int64_t socket_end_connect(handle h) noexcept;

/// One pending connection, ready for use; -EAGAIN when none is pending.
std::int64_t socket_accept(handle listener) noexcept;
std::int64_t socket_receive(handle h, bytes into) noexcept;
std::int64_t socket_send(handle h, const iovec* parts, unsigned count) noexcept;
void socket_shutdown(handle h) noexcept;
/// Whether a poll for `events` would return at once. Asking also makes the kernel report the next change.
bool socket_ready(handle h, short events) noexcept;

/// poll_events as poll(2) and epoll have them, and what those found.
unsigned to_system_events(unsigned events) noexcept;
unsigned from_system_events(unsigned found) noexcept;

}  // namespace sluice::reactor
