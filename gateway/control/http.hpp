#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "gateway/control/protocol.hpp"

/// The door for programs that look: HTTP/1.1, one request a connection, nothing that changes the gateway.
///   GET /metrics   what Prometheus collects
///   GET /status    the result of "status", as JSON
///   GET /health    200 when every store and unit is good, else 503, with a line for each that is not
namespace sluice::control {

inline constexpr std::size_t longest_http_request = 8192;  // octets, up to and with the empty line

/// Whether `received` holds the whole head of a request.
bool is_whole_http_head(std::string_view received);

/// The whole answer, status line, headers and body, to the head of a request. Pure but for `handle`. What is no
/// request, too long or not known is answered 400, 431, 404 or 405.
std::string http_answer(std::string_view head, const handler& handle);

}  // namespace sluice::control
