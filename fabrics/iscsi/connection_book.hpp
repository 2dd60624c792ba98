#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "fabrics/port/nexus_door.hpp"

namespace sluice::iscsi {

/// How many connections there may be.
struct connection_limits {
  std::uint32_t sessions = 4096;     // logged in
  std::uint32_t per_address = 1024;  // logged in, from one address
  /// Not logged in, and discovery: beside the sessions, so that who comes when there are enough is told so.
  std::uint32_t strangers = 1024;
  std::uint32_t strangers_per_address() const { return strangers / 4 > 8 ? strangers / 4 : 8; }

  /// From what the configuration says.
  static connection_limits of(const port::limits& bounds);
};

/// The slots of connections: who has to go when there are no more, and who gets no session. Any thread: only accept,
/// login and the end of a connection come here, so a mutex is good enough.
class connection_book {
 public:
  using closer = std::function<void(port::loss_reason)>;

  explicit connection_book(connection_limits limits) : limits_(limits) {}

  /// A connection from `address` is there; its number. With too many strangers, the oldest stranger of the address that
  /// has the most of them is closed: so a flood from one address gives way to itself, and a login that is alive, which
  /// is young, stays. `close` may come any time on any thread, under no lock, and also after the connection has ended.
  std::uint64_t arrive(const std::string& address, closer close);
  /// It asks for a session; false: there is no room, in all or for its address.
  bool log_in(std::uint64_t number);
  void leave(std::uint64_t number);

  std::size_t sessions() const;

 private:
  struct member {
    std::string address;
    closer close;  // empty: it has been told
    bool in_session = false;
  };
  struct of_address {
    std::uint32_t strangers = 0, sessions = 0;
  };
  std::optional<closer> choose_who_goes(const std::string& address);

  const connection_limits limits_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, member> members_;  // in the order of their arrival
  std::map<std::string, of_address> addresses_;
  std::uint32_t strangers_ = 0, sessions_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace sluice::iscsi
