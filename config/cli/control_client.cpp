#include "config/cli/control_client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace sluice::config {

namespace {

using nlohmann::json;
using clock = std::chrono::steady_clock;

constexpr std::size_t longest_answer = 64 * 1024 * 1024;

tl::unexpected<call_error> unreachable(std::string sentence) {
  return tl::unexpected<call_error>(call_error{std::move(sentence), "unreachable"});
}

/// A connection to the gateway with a deadline over everything.
class connection {
 public:
  connection(std::string path, int timeout_ms)
      : path_(std::move(path)), deadline_(clock::now() + std::chrono::milliseconds(timeout_ms)) {}
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() {
    if (socket_ >= 0) ::close(socket_);
  }

  tl::expected<void, call_error> open() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.empty() || path_.size() >= sizeof address.sun_path)
      return unreachable("the control socket's path is empty or too long: " + path_);
    std::memcpy(address.sun_path, path_.data(), path_.size());
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0 || ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      const bool absent = errno == ENOENT || errno == ECONNREFUSED;
      return unreachable(absent ? "no gateway answers at " + path_ +
                                      "; is `sluice serve` running? --control SOCKET names another"
                                : "the control socket " + path_ + " cannot be opened: " + std::strerror(errno));
    }
    return {};
  }

  tl::expected<void, call_error> send_line(std::string line) {
    line += '\n';
    for (std::size_t sent = 0; sent < line.size();) {
      const ssize_t put = ::send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return unreachable("the gateway at " + path_ + " closed the control socket");
      sent += static_cast<std::size_t>(put);
    }
    return {};
  }

  tl::expected<std::string, call_error> receive_line() {
    std::string in;
    char buffer[64 * 1024];
    for (;;) {
      if (!readable()) return unreachable("the gateway at " + path_ + " did not answer in time");
      const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return unreachable("the gateway at " + path_ + " closed the control socket without an answer");
      in.append(buffer, static_cast<std::size_t>(got));
      if (in.size() > longest_answer) return unreachable("the answer of the gateway at " + path_ + " is too long");
      if (in.back() == '\n') return in;
    }
  }

 private:
  bool readable() const {
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - clock::now()).count();
      if (left <= 0) return false;
      pollfd p{socket_, POLLIN, 0};
      const int n = ::poll(&p, 1, static_cast<int>(left));
      if (n > 0) return true;
      if (n < 0 && errno != EINTR) return false;
    }
  }

  std::string path_;
  clock::time_point deadline_;
  int socket_ = -1;
};

}  // namespace

tl::expected<json, call_error> call_gateway(const std::string& socket_path, const std::string& command,
                                            const json& arguments, int timeout_ms) {
  connection to(socket_path, timeout_ms);
  const json question = {{"command", command}, {"arguments", arguments}};
  const auto answer =
      to.open()
          .and_then([&] { return to.send_line(question.dump(-1, ' ', false, json::error_handler_t::replace)); })
          .and_then([&] { return to.receive_line(); });
  if (!answer) return tl::unexpected<call_error>(answer.error());
  json document = json::parse(*answer, nullptr, false);
  if (!document.is_object() || !document.contains("ok") || !document["ok"].is_boolean())
    return unreachable("what answers at " + socket_path + " is no sluice gateway");
  if (document["ok"].get<bool>()) return std::move(document["result"]);
  const auto text = [&document](const char* name) {
    return document.contains(name) && document[name].is_string() ? document[name].get<std::string>() : std::string();
  };
  return tl::unexpected<call_error>(call_error{text("error"), text("code")});
}

}  // namespace sluice::config
