#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "actors/runtime/core.hpp"
#include "fabrics/port/fabric.hpp"
#include "fabrics/port/member_book.hpp"
#include "fabrics/rdma/core_side.hpp"
#include "fabrics/srp/iu.hpp"

namespace sluice::srp {

class channel;

using rdma::core_side;
using rdma::core_sides;

/// The connections of a fabric, counted.
struct connection_count {
  std::uint32_t most = 0;
  std::mutex mutex;
  std::uint32_t now = 0;
  bool add();
  void remove();
};

/// A port as its channels share it. Any thread: only logins and their ends come here, so a mutex is good enough.
class port_state {
 public:
  /// A place on a core that a login has been given.
  struct seat {
    unsigned core = 0;
    std::uint64_t nexus = 0;  // to join; 0: it opens one
    login_response::others others = login_response::others::none;
  };

  port_state(port::port_descriptor about, const port_identifier& id, const core_sides& sides,
             const port::limits& bounds, std::shared_ptr<connection_count> count)
      : descriptor(std::move(about)), identifier(id), cores(sides), limits(bounds), connections(std::move(count)) {}

  /// Where the channel that a login asks for is to be. A nexus has one on a core; nullopt when none is free.
  std::optional<seat> choose(const login_request& asked);
  /// The seat has become a channel of this nexus, or is given back.
  void opened(const std::shared_ptr<channel>& by, unsigned core, std::uint64_t nexus);
  void give_back(const port_identifier& initiator, unsigned core, std::uint64_t nexus);

  /// The other channels of the nexus.
  std::vector<std::shared_ptr<channel>> others(const channel& than, std::uint64_t nexus);

  /// Lets nobody join any more, ends all that are there; `stopped` runs on a loop's thread when the last has left.
  void stop(const std::function<void()>& stopped);

  const port::port_descriptor descriptor;
  const port_identifier identifier;
  const core_sides& cores;
  const port::limits limits;
  const std::shared_ptr<connection_count> connections;
  port::member_book<channel> members;

 private:
  struct known_nexus {
    std::uint64_t id = 0;
    std::set<unsigned> cores;  // that have a channel, or have one promised
    std::map<unsigned, std::weak_ptr<channel>> channels;
  };
  std::mutex mutex_;
  std::map<port_identifier, known_nexus> nexuses_;  // by initiator port
  unsigned next_core_ = 0;
};

}  // namespace sluice::srp
