#include "gateway/control/http.hpp"

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
  for (const auto& [list, noun] : {std::pair{"stores", "store "}, std::pair{"units", "unit "}})
    for (const json& each : status.at(list)) {
      const std::string health = each.at("health").get<std::string>();
      if (health != "good") out += noun + each.at("name").get<std::string>() + ": " + health + "\n";
    }
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
  return ill.empty() ? page{"200 OK", plain, "good\n"} : page{"503 Service Unavailable", plain, ill};
}

std::string format(const page& p, bool with_body) {
  return std::string("HTTP/1.1 ") + p.status + "\r\nContent-Type: " + p.type +
         "\r\nContent-Length: " + std::to_string(p.body.size()) + "\r\n" + p.more_headers +
         "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n" +
         (with_body ? p.body : std::string());
}

}  // namespace

bool is_whole_http_head(std::string_view received) {
  return received.find("\r\n\r\n") != std::string_view::npos;
}

std::string http_answer(std::string_view head, const handler& handle) {
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
  if (method != "GET" && method != "HEAD")
    return format({"405 Method Not Allowed", plain, "this door only shows\n", "Allow: GET, HEAD\r\n"}, true);
  return format(page_of(target.substr(0, target.find('?')), handle), method == "GET");
}

}  // namespace sluice::control
