#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fabrics/port/nexus_endpoint.hpp"

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

/// What anybody may see of a connection, on any thread.
struct connection_facts {
  enum class stage : std::uint8_t { silent, login, authentication, discovery, session };
  std::uint32_t portal = 0;
  std::string address;  // the peer's, without its port
  std::string peer;
  std::uint64_t since_ns = 0;  // of the loop's clock
  std::atomic<stage> at = stage::silent;
  std::atomic<std::uint64_t> bytes = 0;  // of buffers and text that it holds
  std::atomic<bool> closing = false;     // it has been told to close: maybe before its core has heard of it
};

/// The slots of connections: who has to go when there are no more, and who gets no session. Any thread: only accept,
/// login and the end of a connection come here, so a mutex is good enough.
class connection_book {
 public:
  using closer = std::function<void(port::loss_reason)>;

  explicit connection_book(connection_limits limits) : limits_(limits) {}

  /// A connection is there; its number. With too many strangers, one of the address that has the most of them is
  /// closed, the oldest that is not about to prove itself: so a flood from one address gives way to itself, and a login
  /// that is alive, which is young, stays. `close` may come any time on any thread, under no lock, and also after the
  /// connection has ended.
  std::uint64_t arrive(std::shared_ptr<const connection_facts> facts, closer close);
  /// It has been asked for its secret: it stays as long as others of its address have not been.
  void proves(std::uint64_t number);
  /// It asks for a session; false: there is no room, in all or for its address.
  bool log_in(std::uint64_t number);
  /// It is turned away, and lingers: it has no place any more. Of those that linger, only as many stay as there may be
  /// strangers; the oldest is closed for good.
  void lingers(std::uint64_t number);
  void leave(std::uint64_t number);

  /// Whether there is no place for any connection, be it to be told so.
  bool is_full() const;
  std::size_t sessions() const;

  /// Closes all connections of a portal, to which none comes any more; `ended` runs when the last has left.
  void close_portal(std::uint32_t portal, port::loss_reason reason, std::function<void()> ended);

  /// Closes a connection that has no session. False when there is none of that number.
  bool kick(std::uint64_t number);
  /// Closes those that have no session, of one address; how many.
  std::size_t kick_address(const std::string& address);

  struct stranger {
    std::uint64_t number = 0;
    std::shared_ptr<const connection_facts> facts;
  };
  /// The oldest connections without a session, at most `most`, and how many there are of each address.
  struct overview {
    std::vector<stranger> oldest;
    std::map<std::string, std::uint32_t> by_address;
  };
  overview look(std::size_t most) const;

 private:
  using numbers = std::list<std::uint64_t>;
  enum class rank : std::uint8_t { unknown, proving, session, leaving };
  struct member {
    std::shared_ptr<const connection_facts> facts;
    closer close;
    rank as = rank::unknown;
    numbers::iterator place;  // in the list of its rank
  };
  struct of_address {
    numbers unknown, proving;  // the oldest first
    std::uint32_t sessions = 0, leaving = 0;
    std::size_t strangers() const { return unknown.size() + proving.size(); }
    bool is_empty() const { return strangers() + sessions + leaving == 0; }
  };
  of_address& address_of(const member& it) { return addresses_.at(it.facts->address); }
  /// Takes it out of the list and the counts of its rank.
  void unlist(member& it);
  static bool is_stranger(const member& it) { return it.as == rank::unknown || it.as == rank::proving; }
  std::uint64_t choose_who_goes(const std::string& address) const;
  closer begin_to_leave(std::uint64_t number);

  const connection_limits limits_;
  mutable std::mutex mutex_;
  std::map<std::uint64_t, member> members_;  // in the order of their arrival
  std::map<std::string, of_address> addresses_;
  std::map<std::uint32_t, std::uint32_t> at_portal_;
  std::map<std::uint32_t, std::function<void()>> closing_;  // portals
  numbers leaving_;                                         // the oldest first
  std::uint32_t strangers_ = 0, sessions_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace sluice::iscsi
