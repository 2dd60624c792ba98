#include <arpa/inet.h>

#include <charconv>

#include "actors/reactor/loop.hpp"

namespace sluice::reactor {

bool endpoint::is_loopback() const {
  if (is_ipv6()) return host == "::1";
  return host.rfind("127.", 0) == 0;
}

std::string endpoint::to_string() const {
  return is_ipv6() ? "[" + host + "]:" + std::to_string(port) : host + ":" + std::to_string(port);
}

result<endpoint> endpoint::parse(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos)
    return fail(errc::invalid_argument, "'" + text + "' has no port; allowed: HOST:PORT or [IPV6]:PORT");
  std::string host = text.substr(0, colon);
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(text.data() + colon + 1, end, port);
  if (problem != std::errc() || stopped != end || port > 65535)
    return fail(errc::invalid_argument, "'" + text + "' has no port number from 0 to 65535");
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    in6_addr address;
    if (inet_pton(AF_INET6, host.c_str(), &address) != 1)
      return fail(errc::invalid_argument, "'" + host + "' is no IPv6 address");
    char canonical[INET6_ADDRSTRLEN];
    return endpoint{inet_ntop(AF_INET6, &address, canonical, sizeof canonical), static_cast<std::uint16_t>(port)};
  }
  in_addr address;
  if (inet_pton(AF_INET, host.c_str(), &address) != 1)
    return fail(errc::invalid_argument, "'" + host + "' is no IPv4 address (an IPv6 address goes in brackets)");
  return endpoint{host, static_cast<std::uint16_t>(port)};
}

}  // namespace sluice::reactor
