#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::config {

/// An IP address and port to listen on. `host` is a literal in its canonical form, without brackets; an IPv6 address
/// may name its interface: "fe80::1%eth0".
struct listen_address {
  std::string host;
  std::uint16_t port = 0;

  bool operator==(const listen_address&) const = default;
  bool is_ipv6() const { return host.find(':') != std::string::npos; }
  bool is_wildcard() const { return host == "0.0.0.0" || host == "::"; }
  bool is_loopback() const;
  bool is_link_local() const;  // IPv6; says nothing without an interface
  /// Whether both cannot be bound at once. Port 0 never collides: the system chooses.
  bool collides(const listen_address& other) const;
  std::string to_string() const;  // 127.0.0.1:3260 or [::1]:3260
};

/// Names are refused: what a gateway listens on shall not depend on a resolver.
std::optional<listen_address> parse_listen_address(std::string_view text);

/// Whether a text names a host, by address or by name, and a port from 1: what discovery may tell initiators.
bool is_host_and_port(std::string_view text);

inline constexpr const char* listen_spelling = "an IP address and port, as in \"127.0.0.1:3260\" or \"[::1]:3260\"";

}  // namespace sluice::config
