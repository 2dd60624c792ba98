#include "config/schema/address.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>

namespace sluice::config {

namespace {

/// An interface's name, as the kernel takes it: 1 to 15 octets [RFC4007 11.2].
bool is_zone(std::string_view zone) {
  return !zone.empty() && zone.size() < IF_NAMESIZE && zone != "." && zone != ".." &&
         std::all_of(zone.begin(), zone.end(), [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != '%'; });
}

std::optional<std::string> canonical(int family, const std::string& host) {
  if (const std::size_t percent = host.find('%'); family == AF_INET6 && percent != std::string::npos) {
    const auto address = canonical(family, host.substr(0, percent));
    const std::string zone = host.substr(percent + 1);
    return address && is_zone(zone) ? std::optional(*address + "%" + zone) : std::nullopt;
  }
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

bool listen_address::is_link_local() const {
  in6_addr raw;
  return is_ipv6() && inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &raw) == 1 &&
         IN6_IS_ADDR_LINKLOCAL(&raw);
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

bool is_host_and_port(std::string_view text) {
  if (parse_listen_address(text)) return !text.ends_with(":0");
  constexpr std::size_t longest_host = 253;  // [RFC1035 2.3.4]
  const std::size_t colon = text.rfind(':');
  if (colon == 0 || colon == std::string_view::npos || colon > longest_host) return false;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
  const std::string_view host = text.substr(0, colon);
  return error == std::errc{} && end == text.data() + text.size() && port != 0 && host.front() != '-' &&
         host.front() != '.' && std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

}  // namespace sluice::config
