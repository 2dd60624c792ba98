#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/control/protocol.hpp"

/// The endpoint for programs that look: HTTP/1.1, one request a connection, nothing that changes the gateway.
///   GET /metrics   what Prometheus collects
///   GET /status    the result of "status", as JSON
///   GET /health    200 when every store and unit is good, else 503, with a line for each that is not
namespace sluice::control {

inline constexpr std::size_t longest_http_request = 8192;  // octets, up to and with the empty line

/// Whether `received` holds the whole head of a request.
bool is_whole_http_head(std::string_view received);

/// Whether `host`, the value of a Host header, names this machine's loopback (localhost, 127.0.0.0/8, [::1]) or `own`,
/// the address that is served; with or without a port. A page of elsewhere whose name has been pointed at loopback (DNS
/// rebinding) comes with that name.
bool is_own_http_host(std::string_view host, std::string_view own);

/// The whole answer, status line, headers and body, to the head of a request that came to the address `own`. Pure but
/// for `handle`. What is no request, too long or not known is answered 400, 431, 404 or 405; one that asks another host
/// 421 [RFC9110 15.5.20]; without exactly one Host header, or none in HTTP/1.0, 400 [RFC9112 3.2].
std::string http_answer(std::string_view head, std::string_view own, const handler& handle);

}  // namespace sluice::control
