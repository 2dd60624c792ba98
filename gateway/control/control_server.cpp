#include "gateway/control/control_server.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "actors/observe/log.hpp"
#include "gateway/control/close_fd.hpp"

namespace sluice::control {

namespace {

using clock = std::chrono::steady_clock;

/// Whoever starts a gateway by hand may not write where its service has the socket.
tl::unexpected<error> cannot(int why, const std::string& act) {
  error told = fail_errno(why, "gateway.control: " + act).value();
  told.message += "; name another path there, or by --control, in a folder that you may write";
  return tl::unexpected(std::move(told));
}

result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un out{};
  out.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof out.sun_path)
    return fail(errc::invalid_argument, "gateway.control: the control socket's path must have 1 to " +
                                            std::to_string(sizeof out.sun_path - 1) + " octets: " + path);
  std::memcpy(out.sun_path, path.data(), path.size());
  return out;
}

bool somebody_listens(const sockaddr_un& address) {
  int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return true;
  const int failed = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const bool dead = failed != 0 && errno == ECONNREFUSED;
  close_fd(probe);
  return !dead;
}

/// Makes way for our socket.
result<void> remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat about;
  if (::lstat(path.c_str(), &about) != 0) return {};
  if (!S_ISSOCK(about.st_mode))
    return fail(errc::already_exists, "gateway.control: " + path + " exists and is no socket");
  if (somebody_listens(address))
    return fail(errc::already_exists, "gateway.control: another gateway listens on " + path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return cannot(errno, "remove the stale " + path);
  return {};
}

bool may_command(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == ::geteuid();
}

}  // namespace

struct control_server::client {
  explicit client(int fd) : socket(fd) {}
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() {
    if (thread.joinable()) thread.join();
    ::close(socket);
  }

  int socket;
  std::string in, out;
  std::size_t written = 0;    // of `out`
  bool peer_is_done = false;  // it sends no more; what it asked is still answered
  bool gone = false;
  clock::time_point last_seen = clock::now();
  std::atomic<bool> ended = false;
  std::thread thread;

  bool has_answers() const { return written < out.size(); }
};

control_server::control_server(std::string path, handler handle) : path_(std::move(path)), handle_(std::move(handle)) {}

control_server::~control_server() {
  stop();
}

result<void> control_server::start() {
  const result<sockaddr_un> address = address_of(path_);
  if (!address) return tl::unexpected<error>(address.error());
  std::error_code unmade;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), unmade);
  if (unmade) return cannot(unmade.value(), "make the folder of the control socket " + path_);
  if (const result<void> clear = remove_stale(path_, *address); !clear) return clear;

  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  ended_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const auto undo = [this](const std::string& what) {
    const int why = errno;
    close_fd(listener_);
    close_fd(wake_);
    close_fd(ended_);
    return cannot(why, what + " " + path_);
  };
  if (listener_ < 0 || wake_ < 0 || ended_ < 0) return undo("make the control socket");
  if (::bind(listener_, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0)
    return undo("bind the control socket");
  // Nobody can connect before listen(), so nobody does under a wider mode.
  struct stat about;
  if (::chmod(path_.c_str(), 0600) != 0 || ::lstat(path_.c_str(), &about) != 0 || ::listen(listener_, 16) != 0)
    return undo("open the control socket");
  device_ = about.st_dev;
  inode_ = about.st_ino;
  thread_ = std::thread([this] { run(); });
  return {};
}

void control_server::stop() {
  if (!thread_.joinable()) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t woken = ::write(wake_, &one, sizeof one);
  thread_.join();
  clients_.clear();
  close_fd(listener_);
  close_fd(wake_);
  close_fd(ended_);
  struct stat about;
  if (::lstat(path_.c_str(), &about) == 0 && about.st_dev == device_ && about.st_ino == inode_) ::unlink(path_.c_str());
}

void control_server::run() {
  for (;;) {
    pollfd polled[] = {{wake_, POLLIN, 0},
                       {ended_, POLLIN, 0},
                       // At the limit newcomers wait in the backlog.
                       {clients_.size() < max_clients ? listener_ : -1, POLLIN, 0}};
    if (::poll(polled, std::size(polled), -1) < 0 && errno != EINTR) {
      SLUICE_LOG(error, "control", "poll failed", {"errno", errno});
      return;
    }
    if (polled[0].revents != 0) return;
    if (polled[1].revents != 0) {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(ended_, &count, sizeof count);
      std::erase_if(clients_, [](const auto& c) { return c->ended.load(); });
    }
    if (polled[2].revents != 0) take_client();
  }
}

void control_server::take_client() {
  const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket < 0) {
    if (errno == EMFILE || errno == ENFILE)  // the backlog stays readable: no spinning over it
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    return;
  }
  auto c = std::make_unique<client>(socket);
  if (!may_command(socket)) {
    SLUICE_LOG(warning, "control", "turned a user away");
    return;
  }
  c->thread = std::thread([this, each = c.get()] {
    serve(*each);
    each->ended = true;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t told = ::write(ended_, &one, sizeof one);
  });
  clients_.push_back(std::move(c));
}

/// The life of a client, on its thread.
void control_server::serve(client& c) {
  constexpr int look_ms = 1000;
  while (!c.gone) {
    // A client that has answers to take is not listened to: its backlog stays one request.
    pollfd polled[] = {{wake_, POLLIN, 0}, {c.socket, static_cast<short>(c.has_answers() ? POLLOUT : POLLIN), 0}};
    if (::poll(polled, std::size(polled), look_ms) < 0 && errno != EINTR) return;
    if (polled[0].revents != 0) return;
    attend(c, polled[1].revents);
    if (clock::now() - c.last_seen > std::chrono::milliseconds(idle_timeout_ms)) return;
  }
}

void control_server::attend(client& c, short events) {
  if (events == 0) return;
  c.last_seen = clock::now();
  if ((events & (POLLERR | POLLNVAL)) != 0) {
    c.gone = true;
    return;
  }
  if (c.has_answers())
    write_to(c);
  else
    read_from(c);
  answer_lines(c);
  if (c.peer_is_done && !c.has_answers()) c.gone = true;
}

void control_server::read_from(client& c) {
  char buffer[16 * 1024];
  const ssize_t got = ::read(c.socket, buffer, sizeof buffer);
  if (got > 0)
    c.in.append(buffer, static_cast<std::size_t>(got));
  else if (got == 0)
    c.peer_is_done = true;
  else if (errno != EAGAIN && errno != EINTR)
    c.gone = true;
}

/// Answers what has arrived, one request at a time: the next one waits until the answer is taken.
void control_server::answer_lines(client& c) {
  while (!c.gone && !c.has_answers()) {
    const std::size_t end = c.in.find('\n');
    const bool too_long = std::min(end, c.in.size()) > longest_request;
    if (end == std::string::npos && !too_long) return;
    c.out = format_answer(answer(handle_, std::string_view(c.in).substr(0, end))) + '\n';
    c.written = 0;
    c.in.erase(0, too_long ? std::string::npos : end + 1);
    if (too_long) c.peer_is_done = true;  // where the next request starts is not known
    c.last_seen = clock::now();           // the command may have taken its time
    write_to(c);
  }
}

void control_server::write_to(client& c) {
  const ssize_t put = ::send(c.socket, c.out.data() + c.written, c.out.size() - c.written, MSG_NOSIGNAL);
  if (put >= 0)
    c.written += static_cast<std::size_t>(put);
  else if (errno != EAGAIN && errno != EINTR)
    c.gone = true;
}

}  // namespace sluice::control
