#pragma once
#include <thread>

#include "config/schema/address.hpp"
#include "gateway/control/http.hpp"

namespace sluice::control {

/// Serves http.hpp on an address of loopback, on a thread of its own, one client after the other: each has two seconds.
class http_server {
 public:
  http_server(config::listen_address address, handler handle);
  /// Stops.
  ~http_server();
  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// Binds and starts the thread; an address that is taken is an error with a sentence.
  result<void> start();
  /// Ends the thread, after the client it may be at. Idempotent. Not from the handler.
  void stop();
  /// The port that start() has bound.
  std::uint16_t port() const { return port_; }

 private:
  void run();
  void serve(int client);

  config::listen_address address_;
  handler handle_;
  std::uint16_t port_ = 0;
  int listener_ = -1;
  int wake_ = -1;  // eventfd: stop()
  std::thread thread_;
};

}  // namespace sluice::control
