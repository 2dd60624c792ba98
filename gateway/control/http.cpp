#include "gateway/control/http.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <utility>

#include "gateway/control/metrics.hpp"

namespace sluice::control {

namespace {

using nlohmann::json;

constexpr const char* plain = "text/plain; charset=utf-8";

struct page {
  const char* status = "200 OK";
  const char* type = plain;
  std::string body;
  const char* more_headers = "";
};

/// A line for each store and unit that is not good.
std::string illnesses(const json& status) {
  std::string out;
  const json gateway = status.value("gateway", json::object());
  if (const std::string state = gateway.value("state_health", "good"); state != "good") out += "state: " + state + "\n";
  for (const json& each : gateway.value("reactors", json::array()))
    if (each.value("health", "good") != "good")
      out += "reactor " + each.at("index").dump() + ": " + each.value("health", "") + "\n";
  for (const auto& [list, noun] : {std::pair{"stores", "store "}, std::pair{"units", "unit "}})
    for (const json& each : status.at(list)) {
      const std::string health = each.at("health").get<std::string>();
      if (health != "good") out += noun + each.at("name").get<std::string>() + ": " + health + "\n";
    }
  const json configuration = status.value("cluster", json::object()).value("configuration", json::object());
  if (const std::string health = configuration.value("health", "good"); health != "good")
    out += "configuration: " + health + "\n";
  for (const json& each : status.value("ending", json::array()))
    out += "unit " + each.at("name").get<std::string>() + ": " + each.at("health").get<std::string>() + "\n";
  return out;
}

/// Well, but not as the configuration says.
std::string warnings(const json& status) {
  std::string out;
  for (const json& each : status.at("stores"))
    if (const auto found = each.find("warning"); found != each.end())
      out += "warning: store " + each.at("name").get<std::string>() + ": " + found->get<std::string>() + "\n";
  return out;
}

page page_of(std::string_view path, const handler& handle) {
  if (path == "/") return {"200 OK", plain, "/metrics\n/status\n/health\n"};
  if (path != "/metrics" && path != "/status" && path != "/health")
    return {"404 Not Found", plain, "there are /metrics, /status and /health\n"};
  const result<json> status = handle("status", json::object());
  if (!status) return {"503 Service Unavailable", plain, status.error().message + "\n"};
  if (path == "/metrics") return {"200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics_text(*status)};
  if (path == "/status")
    return {"200 OK", "application/json", status->dump(1, ' ', false, json::error_handler_t::replace) + "\n"};
  const std::string ill = illnesses(*status);
  return ill.empty() ? page{"200 OK", plain, "good\n" + warnings(*status)}
                     : page{"503 Service Unavailable", plain, ill};
}

std::string format(const page& p, bool with_body) {
  return std::string("HTTP/1.1 ") + p.status + "\r\nContent-Type: " + p.type +
         "\r\nContent-Length: " + std::to_string(p.body.size()) + "\r\n" + p.more_headers +
         "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n" +
         (with_body ? p.body : std::string());
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

struct host_header {
  unsigned count = 0;
  std::string_view value;
};

host_header find_host(std::string_view head) {
  host_header found;
  for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;) {
    at += 2;
    const std::size_t end = head.find("\r\n", at);
    const std::string_view line = head.substr(at, end == std::string_view::npos ? end : end - at);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && same_word(line.substr(0, colon), "Host")) {
      ++found.count;
      found.value = trimmed(line.substr(colon + 1));
    }
    at = end;
  }
  return found;
}

/// The host of "host", "host:80", "[::1]" or "[::1]:80", without brackets; empty when it is none of these.
std::string_view without_port(std::string_view host) {
  if (host.empty()) return {};
  const bool bracketed = host.front() == '[';
  const std::size_t end = bracketed ? host.find(']') : host.find(':');
  if (bracketed && end == std::string_view::npos) return {};
  std::string_view port = end == std::string_view::npos ? std::string_view() : host.substr(bracketed ? end + 1 : end);
  if (!port.empty() && port.front() != ':') return {};
  if (!port.empty()) port.remove_prefix(1);
  if (port.find_first_not_of("0123456789") != std::string_view::npos) return {};
  return bracketed ? host.substr(1, end - 1) : host.substr(0, end);
}

}  // namespace

bool is_own_http_host(std::string_view host, std::string_view own) {
  std::string_view name = without_port(host);
  if (name.empty()) return false;
  if (same_word(name, own)) return true;
  in_addr four{};
  in6_addr six{};
  const std::string text(name);
  if (::inet_pton(AF_INET, text.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  if (::inet_pton(AF_INET6, text.c_str(), &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six);
  if (name.ends_with('.')) name.remove_suffix(1);
  return same_word(name, "localhost");
}

bool is_whole_http_head(std::string_view received) {
  return received.find("\r\n\r\n") != std::string_view::npos;
}

std::string http_answer(std::string_view head, std::string_view own, const handler& handle) {
  if (head.size() > longest_http_request)
    return format({"431 Request Header Fields Too Large", plain, "the request is too long\n"}, true);
  const page bad{"400 Bad Request", plain, "this is no HTTP request\n"};
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const std::size_t method_end = line.find(' ');
  const std::size_t version_at = line.rfind(' ');
  if (!is_whole_http_head(head) || method_end == std::string_view::npos || version_at <= method_end)
    return format(bad, true);
  const std::string_view method = line.substr(0, method_end);
  const std::string_view target = line.substr(method_end + 1, version_at - method_end - 1);
  const std::string_view version = line.substr(version_at + 1);
  if ((version != "HTTP/1.1" && version != "HTTP/1.0") || target.empty() || target.front() != '/')
    return format(bad, true);
  const host_header host = find_host(head);
  if (host.count > 1 || (host.count == 0 && version == "HTTP/1.1"))
    return format({"400 Bad Request", plain, "a request names one Host\n"}, true);
  if (host.count == 1 && !is_own_http_host(host.value, own))
    return format({"421 Misdirected Request", plain, "this is not that host\n"}, true);
  if (method != "GET" && method != "HEAD")
    return format({"405 Method Not Allowed", plain, "this endpoint only shows\n", "Allow: GET, HEAD\r\n"}, true);
  return format(page_of(target.substr(0, target.find('?')), handle), method == "GET");
}

}  // namespace sluice::control
