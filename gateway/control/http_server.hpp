#pragma once
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "config/schema/address.hpp"
#include "gateway/control/http.hpp"

namespace sluice::control {

/// Serves http.hpp on an address of loopback, on a thread of its own. Any number of clients may connect; max_clients of
/// them are heard at a time, each for two seconds until its request is whole and two more for its answer. When one more
/// comes, the oldest that has not asked anything yet gives up its place, so that silence never holds up who asks.
class http_server {
 public:
  static constexpr std::size_t max_clients = 128;

  http_server(config::listen_address address, handler handle);
  /// Stops.
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// Binds and starts the thread; an address that is taken is an error with a sentence.
  result<void> start();
  /// Ends the thread, after the request it may be answering. Idempotent. Not from the handler.
  void stop();
  /// The port that start() has bound.
  std::uint16_t port() const { return port_; }

 private:
  using clock = std::chrono::steady_clock;
  enum class stage : std::uint8_t { asking, answering, closing, over };
  struct client {
    int socket;
    stage at = stage::asking;
    clock::time_point until;
    std::string text;  // what has come; then what has not gone yet
  };

  void run();
  void accept_clients();
  void make_room();
  void serve(client& c);
  void receive(client& c);
  void answer(client& c);
  void send_rest(client& c);
  void drain(client& c);
  void drop_finished();
  int wait_ms() const;

  config::listen_address address_;
  handler handle_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  int wake_ = -1;                // eventfd: stop()
  std::vector<client> clients_;  // the oldest first
  bool out_of_descriptors_ = false;
  std::thread thread_;
};

}  // namespace sluice::control
