#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/runtime/core.hpp"
#include "fabrics/port/fabric.hpp"
#include "fabrics/vhost/mapping.hpp"

namespace sluice::vhost {

class session;

struct port_settings {
  std::string path;
  bool connects = false;         // to a front end that listens there
  bool sealed = false;           // takes only memory that cannot become shorter
  std::uint32_t max_queues = 0;  // of requests
  std::string owner;             // of the socket: "USER" or "USER:GROUP"; empty: who runs the gateway
  bool operator==(const port_settings&) const = default;
};

/// A port: its socket, and the one front end that it may have at a time. On the port's loop, unless it says otherwise.
class port_state final : public std::enable_shared_from_this<port_state> {
 public:
  port_state(port::port_descriptor about, port_settings with, std::vector<port::core_endpoint> where,
             std::size_t first_core, const port::limits& bounds, mapper map);
  ~port_state();

  /// Listens, if it is to. Admits nobody before the gateway knows the port.
  result<void> open();
  /// Gives up the socket and ends the session; `stopped` runs when nothing is left. Any thread; called once.
  void stop(std::function<void()> stopped);
  /// A front end is there now: it has been asked.
  bool busy() const { return busy_; }

  const port::port_descriptor descriptor;
  const port_settings settings;
  const std::vector<port::core_endpoint> cores;
  const std::size_t first_core;  // where the socket, the control queue and the event queue are
  const port::limits limits;
  const mapper map;

  // -- from its session, on the port's loop --
  void session_gone();

 private:
  void next() noexcept;
  void on_accepted(std::int64_t result) noexcept;
  void begin(reactor::handle connection);
  bool known() const;
  void give_up_socket();
  void maybe_stopped();

  reactor::loop& loop_;
  reactor::handle listener_ = reactor::no_handle;
  std::shared_ptr<session> session_;
  std::atomic<bool> busy_ = false;
  bool complained_ = false;  // that nobody listens: once
  std::function<void()> stopped_;
  std::shared_ptr<port_state> self_;  // from open() to its end
  reactor::member_operation<port_state, &port_state::on_accepted> accept_{*this};
  reactor::member_timer<port_state, &port_state::next> retry_{*this};
};

}  // namespace sluice::vhost
