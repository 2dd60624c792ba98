#include "gateway/control/http.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <sstream>

#include "gateway/control/http_server.hpp"
#include "gateway/control/metrics.hpp"

namespace sluice::control {
namespace {

using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

json some_status(const std::string& health = "good") {
  return {{"gateway",
           {{"uptime_s", 2.5},
            {"latency_edges_us", {100, 2500}},
            {"max_sessions", 4096},
            {"task_management", {{"abort_task", 2}}},
            {"reactors",
             {{{"index", 0},
               {"kind", "io_uring"},
               {"cpu_s", 0.5},
               {"buffers_used_bytes", 8192},
               {"buffers_limit_bytes", 16384}}}}}},
          {"stores",
           {{{"name", "hot"},
             {"type", "cache"},
             {"size_bytes", 4096},
             {"health", health},
             {"counters", {"destaged_bytes"}},
             {"figures",
              {{"hit_ratio", 0.75},
               {"read_p99_us", 120},
               {"stalled", false},
               {"mode", "write-through"},
               {"destaged_bytes", 12},
               {"destage_bytes_per_s", 3}}}}}},
          {"units",
           {{{"name", "a \"b\""},
             {"health", "good"},
             {"size_bytes", 4096},
             {"commands",
              {{{"class", "read"},
                {"count", 7},
                {"errors", 1},
                {"attentions", 2},
                {"unsupported", 3},
                {"bytes", 28672},
                {"total_us", 4100},
                {"up_to", {5, 6}}}}}}}},
          {"targets", {{{"name", "main"}, {"sessions", json::array({json::object(), json::object()})}}}},
          {"file_systems", {{{"of", "gateway.state_dir"}, {"path", "/s"}, {"free_bytes", 10}, {"size_bytes", 20}}}},
          {"connections",
           {{"count", 3},
            {"refused", {{"0201", 4}, {"gave_way", 5}}},
            {"logins", {{"session", 6}, {"discovery", 1}}},
            {"digest_errors", {{"header", 0}, {"data", 1}}},
            {"rejects", {{"protocol_error", 8}}}}}};
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
  const std::string of = "{unit=\"a \\\"b\\\"\",class=\"read\"";
  EXPECT_THAT(text, HasSubstr("# TYPE sluice_unit_latency_seconds histogram\n"
                              "sluice_unit_latency_seconds_bucket" +
                              of +
                              ",le=\"0.0001\"} 5\n"
                              "sluice_unit_latency_seconds_bucket" +
                              of +
                              ",le=\"0.0025\"} 6\n"
                              "sluice_unit_latency_seconds_bucket" +
                              of +
                              ",le=\"+Inf\"} 7\n"
                              "sluice_unit_latency_seconds_sum" +
                              of +
                              "} 0.0041\n"
                              "sluice_unit_latency_seconds_count" +
                              of + "} 7\n"));
  EXPECT_THAT(text, HasSubstr("sluice_store_read_p99_seconds{store=\"hot\",type=\"cache\"} 0.00012\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE sluice_store_hit_ratio gauge\n"
                              "sluice_store_hit_ratio{store=\"hot\",type=\"cache\"} 0.75\n"));
  EXPECT_THAT(text, HasSubstr("sluice_store_stalled{store=\"hot\",type=\"cache\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("sluice_target_sessions{target=\"main\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_connections_without_session 3\n"));
  EXPECT_THAT(text, HasSubstr("# TYPE sluice_refusals_total counter\nsluice_refusals_total{reason=\"0201\"} 4\n"
                              "sluice_refusals_total{reason=\"gave_way\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("sluice_reactor_cpu_seconds_total{reactor=\"0\"} 0.5\n"));
  for (const char* sample :
       {"sluice_reactor_buffers_used_bytes{reactor=\"0\"} 8192",
        "sluice_reactor_buffers_limit_bytes{reactor=\"0\"} 16384", "sluice_sessions_limit 4096",
        "sluice_task_management_total{function=\"abort_task\"} 2",
        "sluice_filesystem_free_bytes{of=\"gateway.state_dir\"} 10",
        "sluice_filesystem_size_bytes{of=\"gateway.state_dir\"} 20", "sluice_logins_total{kind=\"session\"} 6",
        "sluice_digest_errors_total{part=\"data\"} 1", "sluice_rejects_total{reason=\"protocol_error\"} 8",
        "sluice_store_destaged_bytes_total{store=\"hot\",type=\"cache\"} 12",
        "sluice_store_destage_bytes_per_second{store=\"hot\",type=\"cache\"} 3"})
    EXPECT_THAT(text, HasSubstr("\n" + std::string(sample) + "\n"));
  EXPECT_THAT(text, HasSubstr("sluice_unit_attentions_total" + of + "} 2\n"));
  EXPECT_THAT(text, HasSubstr("sluice_unit_unsupported_total" + of + "} 3\n"));
  EXPECT_THAT(text, Not(HasSubstr("write-through"))) << "text is no sample";
  EXPECT_EQ(metrics_text(json::object()), "") << "whatever is missing is left out";
}

json clustered_status() {
  json status = some_status();
  status["units"][0].update({{"owner", "gw-b"}, {"came_by", {{{"gateway", "gw-a"}, {"commands", 5}}}}});
  status["cluster"] = {{"name", "gold"},
                       {"holds", true},
                       {"members",
                        {{{"gateway", "gw-a"}, {"id", 1}, {"self", true}, {"state", "drained"}},
                         {{"gateway", "gw-b"}, {"id", 2}, {"self", false}, {"state", "member"}}}},
                       {"configuration",
                        {{"version", 3},
                         {"newest", 4},
                         {"health", "why"},
                         {"gateways", {{{"gateway", "gw-a"}, {"version", 3}, {"health", "why"}}}}}}};
  return status;
}

TEST(metrics, tell_of_each_gateway_of_a_cluster) {
  const std::string text = metrics_text(clustered_status());
  for (const char* sample :
       {"sluice_cluster_holds 1", "sluice_cluster_gateway_drained{gateway=\"gw-a\"} 1",
        "sluice_cluster_gateway_gone{gateway=\"gw-b\"} 0", "sluice_cluster_gateway_units{gateway=\"gw-a\"} 0",
        "sluice_cluster_gateway_units{gateway=\"gw-b\"} 1", "sluice_cluster_configuration_newest 4",
        "sluice_cluster_configuration_version{gateway=\"gw-a\"} 3",
        "sluice_cluster_commands_total{unit=\"a \\\"b\\\"\",gateway=\"gw-a\"} 5"})
    EXPECT_THAT(text, HasSubstr("\n" + std::string(sample) + "\n"));
  EXPECT_THAT(metrics_text(some_status()), Not(HasSubstr("sluice_cluster"))) << "it is in none";
}

TEST(metrics, say_of_each_family_what_it_is) {
  std::istringstream lines(metrics_text(clustered_status()));
  std::string helped, typed;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name, sentence;
    words >> hash >> kind >> name;
    if (hash != "#") {
      EXPECT_TRUE(line.starts_with(typed)) << line;
      continue;
    }
    std::getline(words, sentence);
    EXPECT_GT(sentence.size(), 5U) << line;
    if (kind == "HELP") helped = name;
    if (kind != "TYPE") continue;
    EXPECT_EQ(name, helped);
    typed = name;
    EXPECT_FALSE(name.ends_with("_us") || name.ends_with("_octets")) << name;
  }
}

TEST(http, shows_metrics_status_and_health) {
  const handler good = telling(some_status());
  EXPECT_THAT(http_answer("GET /metrics HTTP/1.1\r\nHost: localhost:9840\r\n\r\n", "127.0.0.1", good),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("sluice_uptime_seconds 2.5\n")));
  const std::string status = http_answer("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n", "127.0.0.1", good);
  EXPECT_EQ(json::parse(status.substr(status.find("\r\n\r\n") + 4)), some_status());
  EXPECT_THAT(http_answer("GET /health HTTP/1.0\r\n\r\n", "127.0.0.1", good), EndsWith("\r\n\r\ngood\n"));
  EXPECT_THAT(http_answer("GET /health?verbose HTTP/1.1\r\nHost: localhost\r\n\r\n", "127.0.0.1",
                          telling(some_status("stalled for 12 s"))),
              AllOf(StartsWith("HTTP/1.1 503 "), EndsWith("\r\n\r\nstore hot: stalled for 12 s\n")));
  EXPECT_THAT(http_answer("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "127.0.0.1", good),
              AllOf(HasSubstr("Content-Length: 5\r\n"), EndsWith("\r\n\r\n")));
}

TEST(http, tells_of_a_configuration_that_is_not_in_force) {
  json status = some_status();
  status["cluster"]["configuration"] = {{"version", 3}, {"newest", 4}, {"health", "version 4 is not in force: why"}};
  const handler ill = [&](const std::string&, const json&) -> result<json> { return status; };
  const std::string told = http_answer("GET /health HTTP/1.0\r\n\r\n", "127.0.0.1", ill);
  EXPECT_THAT(told, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(told, EndsWith("\r\n\r\nconfiguration: version 4 is not in force: why\n"));
}

TEST(http, refuses_everything_else) {
  const handler good = telling(some_status());
  EXPECT_THAT(http_answer("POST /status HTTP/1.1\r\nHost: localhost\r\n\r\n", "127.0.0.1", good),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(http_answer("GET /etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "127.0.0.1", good),
              StartsWith("HTTP/1.1 404 "));
  for (const char* bad : {"", "GET", "GET /\r\n\r\n", "GET metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
                          "GET /metrics HTTP/2\r\n\r\n", "GET /metrics HTTP/1.1\r\n", " \r\n\r\n"})
    EXPECT_THAT(http_answer(bad, "127.0.0.1", good), StartsWith("HTTP/1.1 400 ")) << bad;
  EXPECT_THAT(http_answer(std::string(longest_http_request + 1, 'x'), "127.0.0.1", good), StartsWith("HTTP/1.1 431 "));
  const handler failing = [](const std::string&, const json&) -> result<json> { return fail(errc::busy, "not now"); };
  EXPECT_THAT(http_answer("GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n", "127.0.0.1", failing),
              StartsWith("HTTP/1.1 503 "));
}

/// Host headers: [RFC9112 3.2], [RFC9110 15.5.20].
TEST(http, answers_only_who_asks_this_host) {
  for (const char* own :
       {"localhost", "LocalHost:9840", "localhost.", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:9840", "127.0.0.9:1"})
    EXPECT_TRUE(is_own_http_host(own, "127.0.0.9")) << own;
  EXPECT_TRUE(is_own_http_host("[fd00::1]:9840", "fd00::1"));
  for (const char* other : {"", "evil.example", "evil.example:9840", "localhost.evil.example", "127.0.0.1.evil.example",
                            "10.0.0.1", "[::2]", "[::1", "[::1]x", "localhost:evil", "127.0.0.1@evil.example", ":9840"})
    EXPECT_FALSE(is_own_http_host(other, "127.0.0.9")) << other;
  const handler good = telling(some_status());
  const auto head = [](const std::string& headers) { return "GET /status HTTP/1.1\r\n" + headers + "\r\n"; };
  EXPECT_THAT(http_answer(head("host:\t127.0.0.1:9840 \r\n"), "127.0.0.1", good), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(http_answer(head("Accept: */*\r\nHost: rebound.example:9840\r\n"), "127.0.0.1", good),
              AllOf(StartsWith("HTTP/1.1 421 "), Not(HasSubstr("uptime"))));
  EXPECT_THAT(http_answer(head(""), "127.0.0.1", good), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(http_answer(head("Host: localhost\r\nHost: localhost\r\n"), "127.0.0.1", good),
              StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(http_answer("GET /health HTTP/1.0\r\nHost: rebound.example\r\n\r\n", "127.0.0.1", good),
              StartsWith("HTTP/1.1 421 "));
}

int connected(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
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
  EXPECT_THAT(ask(server.port(), "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"), EndsWith("good\n"));
  EXPECT_THAT(ask(server.port(), std::string(longest_http_request + 4000, 'x')), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(ask(server.port(), "GET /health"), StartsWith("HTTP/1.1 400 ")) << "it never sends the rest";
  EXPECT_THAT(ask(server.port(), "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"),
              HasSubstr("sluice_target_sessions"));
  EXPECT_THAT(ask(server.port(), "GET /status HTTP/1.1\r\nHost: rebound.example\r\n\r\n"), StartsWith("HTTP/1.1 421 "));
  http_server other({"127.0.0.1", server.port()}, telling({}));
  const auto taken = other.start();
  ASSERT_FALSE(taken);
  EXPECT_THAT(taken.error().message, HasSubstr("gateway.http"));
  server.stop();
  EXPECT_EQ(ask(server.port(), "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), "");
}

TEST(http_server, answers_at_once_behind_any_number_of_silent_clients) {
  http_server server({"127.0.0.1", 0}, telling(some_status()));
  ASSERT_TRUE(server.start());
  std::vector<int> silent;
  for (std::size_t i = 0; i < http_server::max_clients + 72; ++i) {
    silent.push_back(connected(server.port()));
    if (i % 3 == 0) {
      EXPECT_EQ(::send(silent.back(), "GET /hea", 8, MSG_NOSIGNAL), 8);
    }
    if (i != 63 && i + 1 != http_server::max_clients + 72) continue;
    const auto began = std::chrono::steady_clock::now();
    EXPECT_THAT(ask(server.port(), "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"), EndsWith("good\n"));
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(100)) << i + 1 << " silent clients";
  }
  // The first ones had to make room, though their time is not up; the last one has its place.
  char octet;
  const ssize_t of_first = ::recv(silent.front(), &octet, 1, MSG_DONTWAIT);
  EXPECT_TRUE(of_first == 0 || (of_first < 0 && errno != EAGAIN)) << of_first;
  EXPECT_EQ(::recv(silent.back(), &octet, 1, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, EAGAIN);
  for (const int fd : silent) ::close(fd);
}

}  // namespace
}  // namespace sluice::control
