#pragma once
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway/control/protocol.hpp"

namespace sluice::control {

/// Serves the control protocol on a unix stream socket, mode 0600: each client on a thread of its own, so that a
/// command which takes its time holds up nobody else. Peers other than root and the gateway's own user are turned away,
/// whatever the mode of the socket has become.
class control_server {
 public:
  static constexpr std::size_t max_clients = 32;
  static constexpr int idle_timeout_ms = 60'000;  // a client that neither asks nor takes its answer is dropped

  control_server(std::string path, handler handle);
  /// Stops.
  ~control_server();
  control_server(const control_server&) = delete;
  control_server& operator=(const control_server&) = delete;

  /// Binds the socket and starts the thread. Makes missing parent directories. A socket that nobody listens on any more
  /// is replaced; one that is alive, or a file that is no socket, is errc::already_exists.
  result<void> start();

  /// Ends the threads, after the commands they may be at, and removes the socket. Idempotent. Not from the handler.
  void stop();

  const std::string& path() const { return path_; }

 private:
  struct client;

  void run();
  void take_client();
  void serve(client& c);
  void attend(client& c, short events);
  void read_from(client& c);
  void answer_lines(client& c);
  void write_to(client& c);

  std::string path_;
  handler handle_;
  int listener_ = -1;
  int wake_ = -1;     // eventfd: stop(); never read, so that it wakes all threads
  int ended_ = -1;    // eventfd: a client's thread is through
  dev_t device_ = 0;  // of our socket, so that stop() removes no other's
  ino_t inode_ = 0;
  std::vector<std::unique_ptr<client>> clients_;  // of the thread that accepts
  std::thread thread_;
};

}  // namespace sluice::control
