#include "fabrics/iscsi/probe.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "config/schema/address.hpp"

namespace sluice::iscsi {

namespace {

result<void> could_listen(const std::string& where) {
  const auto address = config::parse_listen_address(where);
  if (!address) return fail(errc::invalid_argument, where + " is no address to listen on");
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address->host.c_str(), std::to_string(address->port).c_str(), &hints, &found) != 0)
    return fail(errc::invalid_argument, "'" + address->host + "' is no numeric IP address of this host");
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> kept(found, ::freeaddrinfo);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail_errno(errno, "open a socket for " + where);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->is_ipv6()) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  const int problem = ::bind(fd, found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  ::close(fd);
  if (problem == 0) return {};
  return fail_errno(problem, "listen on " + where);
}

}  // namespace

result<void> probe(const config::port_config& wanted, const std::vector<std::string>& held) {
  for (const std::string& where : wanted.settings.list("listen")) {
    if (std::find(held.begin(), held.end(), where) != held.end()) continue;
    if (auto free = could_listen(where); !free) return free;
  }
  return {};
}

}  // namespace sluice::iscsi
