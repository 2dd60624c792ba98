#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>

#include "gateway/control/control_server.hpp"
#include "gateway/control/notify.hpp"
#include "gateway/control/plan_view.hpp"

namespace sluice::control {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  std::strncpy(out.sun_path, path.c_str(), sizeof out.sun_path - 1);
  return out;
}

/// A client that may misbehave. Reads time out after 10 s, so that no test hangs.
class raw_client {
 public:
  explicit raw_client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{10, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const sockaddr_un address = address_of(path);
    connected = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;
  ~raw_client() { ::close(socket_); }

  void send(const std::string& text) { (void)!::send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }
  void finish() { ::shutdown(socket_, SHUT_WR); }
  /// The next line; empty at the end of the stream.
  std::string line() {
    for (;;) {
      if (const std::size_t end = in_.find('\n'); end != std::string::npos) {
        std::string out = in_.substr(0, end);
        in_.erase(0, end + 1);
        return out;
      }
      char buffer[65536];
      const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
      if (got <= 0) return {};
      in_.append(buffer, static_cast<std::size_t>(got));
    }
  }

  bool connected = false;

 private:
  int socket_;
  std::string in_;
};

class control : public testing::Test {
 protected:
  control() {
    char pattern[] = "/tmp/sluice-control-XXXXXX";
    directory_ = mkdtemp(pattern);
    path_ = directory_ / "run" / "control.sock";
  }
  ~control() override { fs::remove_all(directory_); }

  static result<json> echo(const std::string& command, const json& arguments) {
    if (command == "fail") return fail(errc::not_found, "there is no such thing");
    if (command == "number") return json(arguments.at("n").get<int>() + 1);
    if (command == "big") return json(std::string(8 << 20, 'x'));
    return json{{"command", command}, {"arguments", arguments}};
  }

  fs::path directory_;
  std::string path_;
};

TEST_F(control, answers_requests_in_order_on_one_connection) {
  control_server server(path_, echo);
  ASSERT_TRUE(server.start());
  raw_client c(path_);
  c.send("{\"command\":\"a\"}\n{\"command\":\"number\",\"arguments\":{\"n\":41}}\n{\"comm");
  EXPECT_EQ(c.line(), R"({"ok":true,"result":{"arguments":{},"command":"a"}})");
  EXPECT_EQ(c.line(), R"({"ok":true,"result":42})");
  c.send("and\":\"fail\"}\n");
  c.finish();
  EXPECT_EQ(c.line(), R"({"code":"not_found","error":"there is no such thing","ok":false})");
  EXPECT_EQ(c.line(), "");
}

TEST_F(control, refuses_what_is_no_request_and_lives_on) {
  control_server server(path_, echo);
  ASSERT_TRUE(server.start());
  raw_client c(path_);
  const std::string deep(40, '[');
  for (const std::string& bad :
       {std::string(""), std::string("{"), std::string("[]"), std::string("3"), std::string("\xff\xfe"),
        std::string("{}"), std::string("{\"command\":7}"), std::string("{\"command\":\"a\",\"arguments\":[]}"),
        std::string("{\"command\":\"\"}"), std::string("{\"command\":\"a\",\"extra\":1}"),
        "{\"command\":\"a\",\"arguments\":{\"x\":" + deep + std::string(40, ']') + "}}",
        std::string("{\"command\":\"number\"}"), std::string("{\"command\":\"number\",\"arguments\":{\"n\":\"x\"}}"),
        std::string(longest_request - 1, '[')}) {
    c.send(bad + "\n");
    const json answer = json::parse(c.line(), nullptr, false);
    ASSERT_TRUE(answer.is_object()) << bad.substr(0, 40);
    EXPECT_EQ(answer["ok"], false);
    EXPECT_EQ(answer["code"], "invalid_argument");
    EXPECT_TRUE(answer["error"].is_string());
  }
  c.send("{\"command\":\"a\"}\n");
  EXPECT_NE(c.line(), "");
}

TEST_F(control, hangs_up_on_a_line_without_end) {
  control_server server(path_, echo);
  ASSERT_TRUE(server.start());
  raw_client c(path_);
  c.send(std::string(longest_request + 20'000, 'x'));
  EXPECT_THAT(c.line(), testing::HasSubstr("too long"));
  EXPECT_EQ(c.line(), "");
}

TEST_F(control, hands_over_a_big_answer_while_others_are_served) {
  control_server server(path_, echo);
  ASSERT_TRUE(server.start());
  raw_client slow(path_), other(path_);
  slow.send("{\"command\":\"big\"}\n{\"command\":\"after\"}\n");
  other.send("{\"command\":\"a\"}\n");
  EXPECT_NE(other.line(), "");
  EXPECT_GT(slow.line().size(), 8u << 20);
  EXPECT_THAT(slow.line(), testing::HasSubstr("after"));
}

TEST_F(control, a_command_that_takes_its_time_holds_up_nobody_else) {
  std::promise<void> over;
  control_server server(path_, [&over](const std::string& command, const json&) -> result<json> {
    if (command == "long") over.get_future().wait();
    return json(command);
  });
  ASSERT_TRUE(server.start());
  raw_client slow(path_), other(path_);
  slow.send("{\"command\":\"long\"}\n");
  other.send("{\"command\":\"a\"}\n");
  EXPECT_EQ(other.line(), R"({"ok":true,"result":"a"})");
  over.set_value();
  EXPECT_EQ(slow.line(), R"({"ok":true,"result":"long"})");
}

TEST_F(control, keeps_newcomers_waiting_at_its_limit) {
  control_server server(path_, echo);
  ASSERT_TRUE(server.start());
  std::vector<std::unique_ptr<raw_client>> clients;
  for (std::size_t i = 0; i < control_server::max_clients; ++i) {
    clients.push_back(std::make_unique<raw_client>(path_));
    clients.back()->send("{\"command\":\"a\"}\n");
    EXPECT_NE(clients.back()->line(), "");
  }
  raw_client late(path_);
  late.send("{\"command\":\"late\"}\n");
  clients.front().reset();
  EXPECT_THAT(late.line(), testing::HasSubstr("late"));
}

TEST_F(control, makes_text_of_any_bytes) {
  EXPECT_EQ(format_answer(json("a\xff")), "{\"ok\":true,\"result\":\"a\xef\xbf\xbd\"}");
}

TEST_F(control, opens_its_socket_for_the_owner_only_and_takes_it_away) {
  {
    control_server server(path_, echo);
    ASSERT_TRUE(server.start());
    struct stat about;
    ASSERT_EQ(::lstat(path_.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600u);
  }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(control, replaces_a_stale_socket_and_respects_a_live_one) {
  fs::create_directories(directory_ / "run");
  const int stale = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path_);
  ASSERT_EQ(::bind(stale, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(stale);

  control_server first(path_, echo), second(path_, echo);
  ASSERT_TRUE(first.start());
  const result<void> refused = second.start();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::already_exists);
  EXPECT_TRUE(raw_client(path_).connected);
}

TEST_F(control, leaves_a_file_alone_that_is_no_socket) {
  fs::create_directories(directory_ / "run");
  std::ofstream(path_) << "precious";
  EXPECT_EQ(control_server(path_, echo).start().error().code, errc::already_exists);
  EXPECT_EQ(fs::file_size(path_), 8u);
  EXPECT_EQ(control_server(std::string(200, 'x'), echo).start().error().code, errc::invalid_argument);
}

TEST_F(control, that_cannot_open_its_socket_names_the_key_and_a_way_out) {
  std::ofstream(directory_ / "file") << "no folder";
  const result<void> refused = control_server(directory_ / "file" / "s", echo).start();
  ASSERT_FALSE(refused);
  const std::string& told = refused.error().message;
  EXPECT_TRUE(told.starts_with("gateway.control: make the folder of the control socket ")) << told;
  EXPECT_NE(told.find("; name another path there, or by --control"), std::string::npos) << told;
}

TEST_F(control, tells_the_service_manager) {
  const std::string path = directory_ / "notify";
  const int receiver = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path);
  ASSERT_EQ(::bind(receiver, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  EXPECT_TRUE(notify_service_manager("READY=1"));
  char buffer[64];
  const ssize_t got = ::recv(receiver, buffer, sizeof buffer, MSG_DONTWAIT);
  EXPECT_EQ(std::string(buffer, got > 0 ? static_cast<std::size_t>(got) : 0), "READY=1");
  ::close(receiver);
  EXPECT_FALSE(notify_service_manager("READY=1"));
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(notify_service_manager("READY=1"));
}

TEST_F(control, writes_a_plan_as_json) {
  config::model from, to;
  to.stores.push_back({});
  to.stores[0].name = "a";
  to.stores[0].type = "ram";
  to.gateway.max_tasks = 1;
  EXPECT_EQ(json(config::make_plan({from}, to)),
            json::parse(R"({"steps":[{"action":"add_store","name":"a","text":"+ store a: ram"}],
                            "refused":[{"key":"gateway.max_tasks","reason":"a change needs a restart"}],
                            "warnings":[]})"));
}

}  // namespace

}  // namespace sluice::control
