#include "gateway/control/http.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/control/http_server.hpp"
#include "gateway/control/metrics.hpp"

namespace sluice::control {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

json some_status(const std::string& health = "good") {
  return {{"gateway", {{"uptime_s", 2.5}, {"reactors", {{{"index", 0}, {"kind", "io_uring"}, {"cpu_s", 0.5}}}}}},
          {"stores",
           {{{"name", "hot"},
             {"type", "cache"},
             {"size_bytes", 4096},
             {"health", health},
             {"figures", {{"hit_ratio", 0.75}, {"stalled", false}, {"mode", "write-through"}}}}}},
          {"units",
           {{{"name", "a \"b\""},
             {"health", "good"},
             {"size_bytes", 4096},
             {"commands",
              {{{"class", "read"},
                {"count", 7},
                {"errors", 1},
                {"bytes", 28672},
                {"p50_us", 12.5},
                {"p99_us", 20},
                {"p999_us", 30}}}}}}},
          {"targets", {{{"name", "main"}, {"sessions", json::array({json::object(), json::object()})}}}}};
}
handler telling(json status) {
  return [status = std::move(status)](const std::string& command, const json&) -> result<json> {
    if (command != "status") return fail(errc::invalid_argument, "only status");
    return status;
  };
}

TEST(metrics, tell_all_that_status_tells) {
  const std::string text = metrics_text(some_status());
  EXPECT_THAT(text, HasSubstr("# TYPE sluice_unit_commands_total counter\n"
                              "sluice_unit_commands_total{unit=\"a \\\"b\\\"\",class=\"read\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("sluice_unit_latency_us{unit=\"a \\\"b\\\"\",class=\"read\",quantile=\"0.99\"} 20\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE sluice_store_hit_ratio gauge\n"
                              "sluice_store_hit_ratio{store=\"hot\",type=\"cache\"} 0.75\n"));
  EXPECT_THAT(text, HasSubstr("sluice_store_stalled{store=\"hot\",type=\"cache\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("sluice_target_sessions{target=\"main\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_reactor_cpu_seconds_total{reactor=\"0\"} 0.5\n"));
  EXPECT_THAT(text, Not(HasSubstr("write-through"))) << "text is no sample";
  EXPECT_EQ(metrics_text(json::object()), "") << "whatever is missing is left out";
}

TEST(http, shows_metrics_status_and_health) {
  const handler good = telling(some_status());
  EXPECT_THAT(http_answer("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", good),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("sluice_uptime_seconds 2.5\n")));
  const std::string status = http_answer("GET /status HTTP/1.1\r\n\r\n", good);
  EXPECT_EQ(json::parse(status.substr(status.find("\r\n\r\n") + 4)), some_status());
  EXPECT_THAT(http_answer("GET /health HTTP/1.0\r\n\r\n", good), EndsWith("\r\n\r\ngood\n"));
  EXPECT_THAT(http_answer("GET /health?verbose HTTP/1.1\r\n\r\n", telling(some_status("stalled for 12 s"))),
              AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\n\r\nstore hot: stalled for 12 s\n")));
  EXPECT_THAT(http_answer("HEAD /health HTTP/1.1\r\n\r\n", good),
              AllOf(HasSubstr("Content-Length: 5\r\n"), EndsWith("\r\n\r\n")));
}

TEST(http, refuses_everything_else) {
  const handler good = telling(some_status());
  EXPECT_THAT(http_answer("POST /status HTTP/1.1\r\n\r\n", good), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(http_answer("GET /etc/passwd HTTP/1.1\r\n\r\n", good), StartsWith("HTTP/1.1 404 "));
  for (const char* bad : {"", "GET", "GET /\r\n\r\n", "GET metrics HTTP/1.1\r\n\r\n", "GET /metrics HTTP/2\r\n\r\n",
                          "GET /metrics HTTP/1.1\r\n", " \r\n\r\n"})
    EXPECT_THAT(http_answer(bad, good), StartsWith("HTTP/1.1 400 ")) << bad;
  EXPECT_THAT(http_answer(std::string(longest_http_request + 1, 'x'), good), StartsWith("HTTP/1.1 431 "));
  const handler failing = [](const std::string&, const json&) -> result<json> { return fail(errc::busy, "not now"); };
  EXPECT_THAT(http_answer("GET /status HTTP/1.1\r\n\r\n", failing), StartsWith("HTTP/1.1 503 "));
}

std::string ask(std::uint16_t port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  std::string answer;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    (void)!::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    char buffer[4096];
    for (ssize_t got; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
      answer.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(fd);
  return answer;
}

TEST(http_server, serves_one_client_after_the_other_and_lets_none_hold_it_up) {
  http_server server({"127.0.0.1", 0}, telling(some_status()));
  ASSERT_TRUE(server.start());
  EXPECT_THAT(ask(server.port(), "GET /health HTTP/1.1\r\n\r\n"), EndsWith("good\n"));
  EXPECT_THAT(ask(server.port(), std::string(longest_http_request + 4000, 'x')), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(ask(server.port(), "GET /health"), StartsWith("HTTP/1.1 400 ")) << "it never sends the rest";
  EXPECT_THAT(ask(server.port(), "GET /metrics HTTP/1.1\r\n\r\n"), HasSubstr("sluice_target_sessions"));
  http_server other({"127.0.0.1", server.port()}, telling({}));
  const auto taken = other.start();
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("gateway.http"));
  server.stop();
  EXPECT_EQ(ask(server.port(), "GET / HTTP/1.1\r\n\r\n"), "");
}

}  // namespace
}  // namespace sluice::control
