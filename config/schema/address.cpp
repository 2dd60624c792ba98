#include "config/schema/address.hpp"

#include <arpa/inet.h>

#include <charconv>

namespace sluice::config {

namespace {

std::optional<std::string> canonical(int family, const std::string& host) {
  unsigned char raw[sizeof(in6_addr)];
  char text[INET6_ADDRSTRLEN];
  if (inet_pton(family, host.c_str(), raw) != 1) return std::nullopt;
  if (inet_ntop(family, raw, text, sizeof text) == nullptr) return std::nullopt;
  return text;
}

}  // namespace

bool listen_address::is_loopback() const {
  return is_ipv6() ? host == "::1" : host.starts_with("127.");
}

bool listen_address::collides(const listen_address& other) const {
  if (port == 0 || port != other.port || is_ipv6() != other.is_ipv6()) return false;
  return host == other.host || is_wildcard() || other.is_wildcard();
}

std::string listen_address::to_string() const {
  return (is_ipv6() ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<listen_address> parse_listen_address(std::string_view text) {
  constexpr std::size_t longest = 64;
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || text.size() > longest || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  std::string_view host = text.substr(0, colon), digits = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);

  listen_address out;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out.port);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  std::optional<std::string> address = canonical(bracketed ? AF_INET6 : AF_INET, std::string(host));
  if (!address) return std::nullopt;
  out.host = std::move(*address);
  return out;
}

}  // namespace sluice::config
